"""Pictures to packets and back: the references that are kept, and nothing of files or licenses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from narrows.codec.bitstream import FramePacket, FrameType, StreamHeader, crc_seed
from narrows.codec.budget import RATE_DEFAULT, Budget
from narrows.codec.condition import Condition
from narrows.codec.entropy_model import SymbolCoder
from narrows.codec.group import Place, depth_of, places
from narrows.codec.hints import MotionSearch, Target
from narrows.codec.layers import PICTURE_MULTIPLE
from narrows.codec.lookahead import SPAN, Group, Lookahead, Seen
from narrows.codec.model import Neighbours
from narrows.codec.motion import Hints, keep_choices
from narrows.codec.objective import error_of_a_bit
from narrows.codec.pool import Pool
from narrows.codec.range_coder import StreamReader, StreamWriter
from narrows.codec.rate_control import ERROR_PRICES, REFINED_ERROR_PRICE, offset_quality, refinement_steps
from narrows.codec.reference import Reference, luma_bytes
from narrows.codec.refinement import Code, cost, refine
from narrows.codec.weights import LoadedModel, require_model
from narrows.errors import CorruptBitstream
from narrows.media.picture import Picture
from narrows.options import Device, EncodeOptions, Engine, Preset, Tune

_FAR = 4
"""Frames from which on motion is searched in two steps as well."""
_DIVIDED_LEAST = 6
"""Groups of fewer frames are not divided."""
_Part = tuple[Seen, ...]


def _latent_size(width: int, height: int) -> tuple[int, int]:
    return -(-height // PICTURE_MULTIPLE), -(-width // PICTURE_MULTIPLE)


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """
    A packet's bytes and what the decoder will make of them.

    *index* counts displayed frames from the first; packets come in coding order.
    """

    data: bytes
    is_key: bool
    index: int
    source: Picture
    picture: Picture


@dataclass(frozen=True, slots=True)
class _Kept:
    """A coded frame that others may predict from; *order* counts packets, *crc* is its packet's."""

    position: int
    order: int
    reference: Reference
    quality_index: int
    crc: int


@dataclass(frozen=True, slots=True)
class _Coded:
    """What became of a picture: its frame, none where it was coded before; and what others predict from, if any do."""

    frame: CodedFrame | None
    reference: _Kept | None

    @property
    def kept(self) -> _Kept:
        assert self.reference is not None, "a frame that nothing was to predict from"
        return self.reference


@dataclass(frozen=True, slots=True)
class _Anchor:
    """What the next group starts from: the frame, its source's luma, and its index in the stream."""

    kept: _Kept
    luma: NDArray[np.uint8]
    index: int


@dataclass(frozen=True, slots=True)
class _Setting:
    """What an inter frame is coded in: the same for encoder and decoder, from what the packet says."""

    neighbours: Neighbours
    condition: Condition
    crc_seed: int

    @classmethod
    def of(cls, position: int, first: _Kept, second: _Kept, *, quality_index: int, is_visual: bool) -> _Setting:
        kin = max(first, second, key=lambda kept: kept.order)
        offsets = first.position - position, second.position - position
        condition = Condition.of_frame(
            quality_index,
            visual=is_visual,
            distance=min(abs(offset) for offset in offsets),
            is_between=first.position != second.position,
            kin_quality=kin.quality_index,
        )
        neighbours = Neighbours(first.reference, second.reference, offsets, kin.reference)
        return cls(neighbours, condition, crc_seed(first.crc, second.crc))


def _without_reference(work: Callable[[], _Coded]) -> _Coded:
    return _Coded(work().frame, None)


class FrameEncoder:
    """Codes pictures of one size, given in display order; each key frame starts a closed group of pictures."""

    def __init__(
        self,
        width: int,
        height: int,
        *,
        model: LoadedModel,
        options: EncodeOptions,
        is_development: bool,
        frame_rate: Fraction = RATE_DEFAULT,
        threads: int = 1,
    ) -> None:
        """Frames of a group that do not predict from each other are coded side by side on *threads* threads."""
        self._model = model
        self._pool = Pool(threads)
        self._options = options
        self.budget = Budget(options, frame_rate=frame_rate, pixels=width * height)
        self._base = 0
        self._header = StreamHeader(width=width, height=height, model_id=model.model_id, is_development=is_development)
        self._size = _latent_size(width, height)
        self._search = MotionSearch(options.preset)
        span = 1 if options.low_delay else SPAN
        self._lookahead = Lookahead(keyint=options.keyint, span=span)
        self.delay = depth_of(span)
        """Frames by which coding may run ahead of display."""
        self._anchor: _Anchor | None = None
        self._order = 0

    def encode(self, picture: Picture) -> list[CodedFrame]:
        """Take one picture and code what is certain; raises ValueError when its size is not the stream's."""
        if (picture.width, picture.height) != (self._header.width, self._header.height):
            raise ValueError(
                f"a picture of {picture.width}×{picture.height} "
                f"in a stream of {self._header.width}×{self._header.height}"
            )
        return [frame for group in self._lookahead.push(picture) for frame in self._encode_within_budget(group)]

    def close(self) -> None:
        """Let the threads go; nothing can be coded after that."""
        self._pool.close()

    def flush(self) -> list[CodedFrame]:
        """Code the pictures that still wait for others."""
        return [frame for group in self._lookahead.flush() for frame in self._encode_within_budget(group)]

    def _encode_within_budget(self, group: Group) -> list[CodedFrame]:
        """Code *group* as well as the budget allows, again and worse if it turns out too large."""
        before = vars(self).copy()  # Coding a group rebinds attributes; it changes no object in place.
        while True:
            self._base = self.budget.base(len(group.pictures), is_key=group.is_key)
            frames = self._encode_group(group)
            sizes = [len(frame.data) for frame in frames]
            if self.budget.accepts(sizes, base=self._base, is_key=group.is_key):
                return frames
            vars(self).update(before)

    def _encode_group(self, group: Group) -> list[CodedFrame]:
        if group.is_key:
            (seen,) = group.pictures
            coded = self._pool.start(partial(self._encode_key, seen, self._order), []).result()
            assert coded.frame is not None
            self._order += 1
            self._anchor = _Anchor(coded.kept, seen.luma, coded.frame.index)
            return [coded.frame]
        return [
            frame
            for part in self._divided(group.pictures)
            for frame in self._encode_part(part, refines=self._options.preset is Preset.SLOW)
        ]

    def _divided(self, pictures: _Part) -> tuple[_Part, ...]:
        """*pictures* as one group or as two: `slow` tries both, without refinement, and takes the better bargain."""
        if self._options.preset is not Preset.SLOW or len(pictures) < _DIVIDED_LEAST:
            return (pictures,)
        middle = len(pictures) // 2
        return min((pictures,), (pictures[:middle], pictures[middle:]), key=self._cost_of)

    def _cost_of(self, parts: tuple[_Part, ...]) -> float:
        """What coding *parts* would cost in bits and errors; leaves no trace."""
        before = self._anchor, self._order
        frames = [frame for part in parts for frame in self._encode_part(part, refines=False)]
        self._anchor, self._order = before
        condition = Condition.of_frame(offset_quality(self._base, 0), visual=self._is_visual)
        with torch.no_grad():
            costs = [cost(8 * len(f.data), f.picture.to_planes(), f.source.to_planes(), condition) for f in frames]
        return sum(float(c) for c in costs)

    def _encode_part(self, pictures: _Part, *, refines: bool) -> list[CodedFrame]:
        """The *pictures* after the last anchor, of which the last becomes the next one."""
        assert self._anchor is not None
        start, span = self._anchor, len(pictures)
        lumas = [start.luma, *(seen.luma for seen in pictures)]
        begun: dict[int, Future[_Coded]] = {0: Future()}
        begun[0].set_result(_Coded(None, start.kept))
        wanted = {span, *(position for place in places(span) for position in (place.first, place.second))}
        for order, place in enumerate(places(span), self._order):
            needed = {p: begun[p] for p in (0, place.first, place.second)}
            work = partial(self._encode_place, pictures[place.position - 1], place, order, needed, lumas, refines)
            if place.position not in wanted:  # Half of them: not kept, as each takes 40 MB at 1920×1080.
                work = partial(_without_reference, work)
            begun[place.position] = self._pool.start(work, list(needed.values()))
        coded = [begun[place.position].result() for place in places(span)]
        self._order += span
        self._anchor = _Anchor(begun[span].result().kept, lumas[span], start.index + span)
        return [c.frame for c in coded if c.frame is not None]

    @torch.no_grad()  # Not inference mode: what a frame predicts from takes part in its refinement.
    def _encode_place(
        self,
        seen: Seen,
        place: Place,
        order: int,
        needed: Mapping[int, Future[_Coded]],
        lumas: list[NDArray[np.uint8]],
        refines: bool,
    ) -> _Coded:
        kept = {position: future.result().kept for position, future in needed.items()}
        return self._encode_inter(seen, place, order, kept, lumas, refines=refines)

    def _motion_hints(
        self, place: Place, lumas: list[NDArray[np.uint8]], neighbours: Neighbours, condition: Condition
    ) -> Hints:
        def target(position: int, reference: Reference, forecast: torch.Tensor) -> Target:
            is_far = abs(place.position - position) >= _FAR
            halfway = lumas[(place.position + position) // 2] if is_far else None
            return Target(lumas[position], luma_bytes(reference.luma[0]), forecast, halfway)

        forecasts = neighbours.forecasts
        first = target(place.first, neighbours.first, forecasts[0])
        second = None if place.first == place.second else target(place.second, neighbours.second, forecasts[1])
        price = error_of_a_bit(condition.quality_index)
        return self._search.hints(lumas[place.position], first, second, bit_error=price).to(self._model.device)

    @torch.no_grad()
    def _encode_key(self, seen: Seen, order: int) -> _Coded:
        quality = offset_quality(self._base, None)
        condition = Condition.of_frame(quality, visual=self._is_visual)
        intra = self._model.networks.intra
        planes = seen.picture.to_planes().to(self._model.device)

        def code(latents: torch.Tensor, coder: SymbolCoder) -> Reference:
            return intra.code(latents, coder, condition=condition, size=self._size)

        steps = refinement_steps(self._options.preset, 0)
        latents = intra.analyse(planes, condition)
        data, coded = self._code_latents(latents, code, planes, condition, depth=0, steps=steps)
        reference = self._model.networks.inter.adopt(coded, condition)
        packet = FramePacket(
            type=FrameType.INTRA,
            is_visual=self._is_visual,
            quality_index=quality,
            position=0,
            header=self._header,
            streams=(data,),
        )
        return self._finished(
            packet, seen, reference, order=order, seed=0, index=0 if self._anchor is None else self._anchor.index + 1
        )

    def _encode_inter(
        self,
        seen: Seen,
        place: Place,
        order: int,
        kept: Mapping[int, _Kept],
        lumas: list[NDArray[np.uint8]],
        *,
        refines: bool,
    ) -> _Coded:
        position = kept[0].position + place.position
        quality = offset_quality(self._base, place.depth)
        first, second = kept[place.first], kept[place.second]
        setting = _Setting.of(position, first, second, quality_index=quality, is_visual=self._is_visual)
        neighbours, condition, size = setting.neighbours, setting.condition, self._size
        inter, planes = self._model.networks.inter, seen.picture.to_planes().to(self._model.device)
        motion_writer = StreamWriter(self._model.tables)
        hints = self._motion_hints(place, lumas, neighbours, condition)
        found = inter.analyse_motion(neighbours, hints, condition)

        def code_all(motion: torch.Tensor, coder: SymbolCoder) -> Reference:
            motion = keep_choices(motion, found)
            prediction = inter.predict(motion, neighbours, coder, condition=condition, size=size)
            latents = inter.analyse(planes, prediction, condition)
            return inter.code(latents, prediction, neighbours, coder, condition=condition, size=size)

        steps = refinement_steps(self._options.preset, place.depth) if refines else 0
        motion = keep_choices(refine(found, code_all, planes, condition, steps=steps), found)
        prediction = inter.predict(motion, neighbours, motion_writer, condition=condition, size=size)

        def code(latents: torch.Tensor, coder: SymbolCoder) -> Reference:
            return inter.code(latents, prediction, neighbours, coder, condition=condition, size=size)

        latents = inter.analyse(planes, prediction, condition)
        data, reference = self._code_latents(latents, code, planes, condition, depth=place.depth, steps=steps)
        packet = FramePacket(
            type=FrameType.INTER,
            is_visual=self._is_visual,
            quality_index=quality,
            position=position,
            references=(first.position, second.position),
            streams=(motion_writer.to_bytes(), data),
        )
        assert self._anchor is not None
        index = self._anchor.index + place.position
        return self._finished(packet, seen, reference, order=order, seed=setting.crc_seed, index=index)

    def _code_latents(
        self, latents: torch.Tensor, code: Code, planes: torch.Tensor, condition: Condition, *, depth: int, steps: int
    ) -> tuple[bytes, Reference]:
        """Code *latents*, refined by *steps* if that pays; returns the stream and what it decodes to."""

        def written(latents: torch.Tensor, error_price: float) -> tuple[bytes, Reference]:
            writer = StreamWriter(self._model.tables, error_price=error_price)
            reference = code(latents, writer)
            return writer.to_bytes(), reference

        price = ERROR_PRICES[depth]
        plain = written(latents, price)
        if not steps:
            return plain
        refined = written(refine(latents, code, planes, condition, steps=steps), REFINED_ERROR_PRICE * price)
        return min(plain, refined, key=lambda coded: float(cost(8 * len(coded[0]), coded[1].planes, planes, condition)))

    @property
    def _is_visual(self) -> bool:
        return self._options.tune is Tune.VISUAL

    def _finished(
        self, packet: FramePacket, seen: Seen, reference: Reference, *, order: int, seed: int, index: int
    ) -> _Coded:
        data, crc = packet.to_bytes(seed)
        decoded = Picture.from_reference(reference.luma, reference.chroma, self._header.width, self._header.height)
        frame = CodedFrame(data=data, is_key=packet.is_key, index=index, source=seen.picture, picture=decoded)
        return _Coded(frame, _Kept(packet.position, order, reference, packet.quality_index, crc))


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a packet says of a frame, and the frame once it is decoded."""

    position: int
    order: int
    quality_index: int
    crc: int
    reference: Future[Reference]

    def kept(self) -> _Kept:
        return _Kept(self.position, self.order, self.reference.result(), self.quality_index, self.crc)


class FrameDecoder:
    """
    Decodes packets in coding order and gives pictures in display order; may start at any key frame.

    With several *threads* frames that do not predict from each other are decoded side by side. That is quicker than
    to divide a frame: most of its steps are small, and nobody has to wait for the slower half.
    """

    def __init__(self, *, threads: int = 1, engine: Engine = Engine.TORCH, device: Device = Device.CPU) -> None:
        self._engine, self._device = engine, device
        self._model: LoadedModel | None = None
        self._header: StreamHeader | None = None
        self._begun: dict[int, _Begun] = {}
        self._order = 0
        self._hidden: dict[int, Future[Picture]] = {}
        self._shown = 0
        self._pool = Pool(threads) if threads > 1 else None

    @property
    def header(self) -> StreamHeader | None:
        """Of the last key frame, None before the first."""
        return self._header

    @property
    def is_complete(self) -> bool:
        """Whether every decoded picture could be shown: nothing before it is missing."""
        return not self._hidden

    @property
    def ahead(self) -> int:
        """Packets to begin before the oldest picture is asked for, so that no thread stands idle."""
        return 0 if self._pool is None else SPAN

    def close(self) -> None:
        """Decode nothing more of what was begun."""
        if self._pool is not None:
            self._pool.close()

    def decode(self, data: bytes) -> list[Picture]:
        """
        Decode one packet; returns the pictures that can be shown now, in order.

        Raises BitstreamError when it is damaged, or what it predicts from is not there.
        """
        return [picture.result() for picture in self.begin(data)]

    def begin(self, data: bytes) -> list[Future[Picture]]:
        """`decode` without waiting: with several threads, a damaged frame is noticed when its picture is asked for."""
        packet, crc = FramePacket.from_bytes(data, {b.position: b.crc for b in self._begun.values()})
        self._check_order(packet)
        if packet.header is not None:
            self._model = require_model(packet.header.model_id, self._engine, self._device)
            self._header = packet.header
        if self._model is None or self._header is None:
            raise CorruptBitstream("the stream does not start with a key frame", byte_offset=0)
        references = [self._begun[position] for position in packet.references or ()]
        frame = _Frame(packet, self._model, self._header)
        picture: Future[Picture] = Future()
        reference = self._start(partial(frame.decode, references, picture), [begun.reference for begun in references])
        reference.add_done_callback(partial(_hand_down, picture))
        self._order += 1
        self._begun[packet.position] = _Begun(packet.position, self._order, packet.quality_index, crc, reference)
        self._hidden[packet.position] = picture
        return self._show()

    def _start(self, work: Callable[[], Reference], needed: Sequence[Future[Reference]]) -> Future[Reference]:
        """*work* on another thread, or done here and now: then what it raises is raised here."""
        if self._pool is not None:
            return self._pool.start(work, needed)
        done: Future[Reference] = Future()
        done.set_result(work())
        return done

    def _check_order(self, packet: FramePacket) -> None:
        """Refuse what leaves a picture out or shows one twice, and forget what nothing may predict from any more."""
        if packet.references is None:
            if self._hidden:
                raise CorruptBitstream("a key frame comes before all frames of the group are there", byte_offset=0)
            self._begun.clear()
            self._shown = 0
            return
        first, second = packet.references
        if packet.position < self._shown or packet.position in self._hidden:
            raise CorruptBitstream(f"the frame at {packet.position} comes twice", byte_offset=3)
        if first == second:
            if first >= self._shown:
                raise CorruptBitstream(f"an anchor comes before all frames up to {first} are there", byte_offset=3)
            self._begun = {position: begun for position, begun in self._begun.items() if position >= first}

    def _show(self) -> list[Future[Picture]]:
        ready = []
        while self._shown in self._hidden:
            ready.append(self._hidden.pop(self._shown))
            self._shown += 1
        return ready


def _hand_down(picture: Future[Picture], reference: Future[Reference]) -> None:
    """A frame that failed has no picture either."""
    if reference.cancelled():
        picture.cancel()
    elif (error := reference.exception()) is not None:
        picture.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Frame:
    """One packet on its way to a picture; shares nothing that changes."""

    packet: FramePacket
    model: LoadedModel
    header: StreamHeader

    @torch.inference_mode()
    def decode(self, references: Sequence[_Begun], picture: Future[Picture]) -> Reference:
        """
        The frame for those that predict from it; *picture* for those who look at it.

        Apart, because the one takes ten times the memory of the other, and is soon forgotten.
        """
        reference = self._decode_inter(*(begun.kept() for begun in references)) if references else self._decode_intra()
        width, height = self.header.width, self.header.height
        picture.set_result(Picture.from_reference(reference.luma, reference.chroma, width, height))
        return reference

    @property
    def _size(self) -> tuple[int, int]:
        return _latent_size(self.header.width, self.header.height)

    def _decode_intra(self) -> Reference:
        packet, networks = self.packet, self.model.networks
        condition = Condition.of_frame(packet.quality_index, visual=packet.is_visual)
        reader = StreamReader(self.model.tables, packet.streams[0])
        coded = networks.intra.code(None, reader, condition=condition, size=self._size)
        return networks.inter.adopt(coded, condition)

    def _decode_inter(self, first: _Kept, second: _Kept) -> Reference:
        packet, inter = self.packet, self.model.networks.inter
        setting = _Setting.of(
            packet.position, first, second, quality_index=packet.quality_index, is_visual=packet.is_visual
        )
        neighbours, condition = setting.neighbours, setting.condition
        motion_reader, reader = (StreamReader(self.model.tables, s) for s in packet.streams)
        prediction = inter.predict(None, neighbours, motion_reader, condition=condition, size=self._size)
        return inter.code(None, prediction, neighbours, reader, condition=condition, size=self._size)
