"""Packets to pictures: frames that need not wait for each other side by side, shown in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import torch

from narrows.codec.bitstream import FramePacket, StreamHeader
from narrows.codec.condition import Condition
from narrows.codec.lookahead import SPAN
from narrows.codec.pool import Pool
from narrows.codec.range_coder import StreamReader
from narrows.codec.reference import Reference
from narrows.codec.setting import Kept, Setting, latent_size
from narrows.codec.weights import LoadedModel, require_model
from narrows.errors import CorruptBitstream
from narrows.media.picture import Picture
from narrows.options import Device, Engine


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a packet says of a frame, and the frame once it is decoded."""

    position: int
    order: int
    quality_index: int
    crc: int
    reference: Future[Reference]

    def kept(self) -> Kept:
        return Kept(self.position, self.order, self.reference.result(), self.quality_index, self.crc)


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
        return latent_size(self.header.width, self.header.height)

    def _decode_intra(self) -> Reference:
        packet, networks = self.packet, self.model.networks
        condition = Condition.of_frame(packet.quality_index, visual=packet.is_visual)
        reader = StreamReader(self.model.tables, packet.streams[0])
        coded = networks.intra.code(None, reader, condition=condition, size=self._size)
        return networks.inter.adopt(coded, condition)

    def _decode_inter(self, first: Kept, second: Kept) -> Reference:
        packet, inter = self.packet, self.model.networks.inter
        setting = Setting.of(
            packet.position, first, second, quality_index=packet.quality_index, is_visual=packet.is_visual
        )
        neighbours, condition = setting.neighbours, setting.condition
        motion_reader, reader = (StreamReader(self.model.tables, s) for s in packet.streams)
        prediction = inter.predict(None, neighbours, motion_reader, condition=condition, size=self._size)
        return inter.code(None, prediction, neighbours, reader, condition=condition, size=self._size)
