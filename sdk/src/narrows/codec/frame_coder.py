"""One picture to one packet: where its motion comes from, what is refined, and what the others may predict from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from narrows.codec.bitstream import FramePacket, FrameType, StreamHeader
from narrows.codec.condition import Condition
from narrows.codec.entropy_model import SymbolCoder
from narrows.codec.group import Place
from narrows.codec.hints import MotionSearch, Target
from narrows.codec.model import Neighbours
from narrows.codec.motion import Hints, keep_choices
from narrows.codec.objective import error_of_a_bit
from narrows.codec.range_coder import StreamWriter
from narrows.codec.rate_control import ERROR_PRICES, REFINED_ERROR_PRICE, offset_quality, refinement_steps
from narrows.codec.reference import Reference, luma_bytes
from narrows.codec.refinement import Code, cost, refine
from narrows.codec.setting import Kept, Setting, latent_size
from narrows.codec.weights import LoadedModel
from narrows.media.picture import Picture
from narrows.options import EncodeOptions, Tune

_FAR = 4
"""Frames from which on motion is searched in two steps as well."""


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
class Coded:
    """What became of a picture: its frame, none where it was coded before; and what others predict from, if any do."""

    frame: CodedFrame | None
    reference: Kept | None

    @property
    def kept(self) -> Kept:
        assert self.reference is not None, "a frame that nothing was to predict from"
        return self.reference


@dataclass(frozen=True, slots=True)
class Task:
    """A picture to be coded: its *index* in the stream, its *order* among the packets, the *base* of its quality."""

    picture: Picture
    index: int
    order: int
    base: int


class FrameCoder:
    """Codes single frames of one stream. Keeps nothing from one to the next, so threads may share it."""

    def __init__(self, model: LoadedModel, options: EncodeOptions, header: StreamHeader) -> None:
        self._model, self._options, self._header = model, options, header
        self._size = latent_size(header.width, header.height)
        self._search = MotionSearch(options.preset)

    @property
    def is_visual(self) -> bool:
        return self._options.tune is Tune.VISUAL

    @torch.no_grad()
    def key(self, task: Task) -> Coded:
        """The first frame of a closed group of pictures."""
        quality = offset_quality(task.base, None)
        condition = Condition.of_frame(quality, visual=self.is_visual)
        intra = self._model.networks.intra
        planes = task.picture.to_planes().to(self._model.device)

        def code(latents: torch.Tensor, coder: SymbolCoder) -> Reference:
            return intra.code(latents, coder, condition=condition, size=self._size)

        steps = refinement_steps(self._options.preset, 0)
        latents = intra.analyse(planes, condition)
        data, coded = self._code_latents(latents, code, planes, condition, depth=0, steps=steps)
        reference = self._model.networks.inter.adopt(coded, condition)
        packet = FramePacket(
            type=FrameType.INTRA,
            is_visual=self.is_visual,
            quality_index=quality,
            position=0,
            header=self._header,
            streams=(data,),
        )
        return self._finished(packet, task, reference, seed=0)

    @torch.no_grad()  # Not inference mode: what a frame predicts from takes part in its refinement.
    def inter(
        self,
        task: Task,
        place: Place,
        kept: Mapping[int, Kept],
        lumas: list[NDArray[np.uint8]],
        *,
        refines: bool,
    ) -> Coded:
        """
        The frame at *place* of a group, from those *kept*; *lumas* are the sources of the group, its first anchor's
        first.
        """
        position = kept[0].position + place.position
        quality = offset_quality(task.base, place.depth)
        first, second = kept[place.first], kept[place.second]
        setting = Setting.of(position, first, second, quality_index=quality, is_visual=self.is_visual)
        neighbours, condition, size = setting.neighbours, setting.condition, self._size
        inter, planes = self._model.networks.inter, task.picture.to_planes().to(self._model.device)
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
            is_visual=self.is_visual,
            quality_index=quality,
            position=position,
            references=(first.position, second.position),
            streams=(motion_writer.to_bytes(), data),
        )
        return self._finished(packet, task, reference, seed=setting.crc_seed)

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

    def _finished(self, packet: FramePacket, task: Task, reference: Reference, *, seed: int) -> Coded:
        data, crc = packet.to_bytes(seed)
        decoded = Picture.from_reference(reference.luma, reference.chroma, self._header.width, self._header.height)
        frame = CodedFrame(data=data, is_key=packet.is_key, index=task.index, source=task.picture, picture=decoded)
        return Coded(frame, Kept(packet.position, task.order, reference, packet.quality_index, crc))
