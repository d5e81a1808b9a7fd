"""
Long chains without long memory: sequences played to and fro, coded group by group.

Training on a handful of frames and coding hundreds lets quality fall along the way. A chain goes on over several steps:
each begins with the reconstruction that the step before left, detached, so that the networks learn to work from
references like those they will meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from narrows.codec.condition import Condition
from narrows.codec.group import Place
from narrows.codec.hints import block_flow, fine_search
from narrows.codec.layers import pack420
from narrows.codec.reference import Reference, detached
from torch import Tensor

from training.examples import Batch


@dataclass(frozen=True, slots=True)
class Leg:
    """One frame of a path down a group, and how many frames of the whole group it stands for."""

    place: Place
    weight: int


def path(span: int, random: np.random.Generator) -> list[Leg]:
    """The anchor of a group and one way down to a leaf, chosen at random: a sample of all its frames."""
    legs = [Leg(Place(position=span, first=0, second=0, depth=0), 1)]
    first, second, depth = 0, span, 1
    while second - first > 1:
        middle = (first + second) // 2
        legs.append(Leg(Place(position=middle, first=first, second=second, depth=depth), 1 << (depth - 1)))
        if random.random() < 0.5:
            second = middle
        else:
            first = middle
        depth += 1
    return legs


class Chain:
    """One batch of sequences on its way; *quality_index* and *visual* `[B, 1, 1, 1]` stay for its whole life."""

    def __init__(self, batch: Batch, quality_index: Tensor, visual: Tensor) -> None:
        self.batch = batch
        self.quality_index = quality_index
        self.visual = visual
        self.anchor: Reference | None = None
        self._position, self._direction = 0, 1
        self._search = fine_search()

    def fit(self, span: int) -> int:
        """The longest group of at most *span* frames that the sequence has room for, playing backwards if need be."""
        length = self.batch.luma.shape[1]
        while True:
            for direction in (self._direction, -self._direction):
                if 0 <= self._position + direction * span < length:
                    self._direction = direction
                    return span
            span //= 2

    def planes(self, position: int) -> Tensor:
        """The frame *position* frames after the anchor, packed `[B, 96, H/8, W/8]`."""
        index = self._index(position)
        return pack420(self.batch.luma[:, index], self.batch.chroma[:, index])

    def any_planes(self, random: np.random.Generator) -> Tensor:
        """A frame from anywhere in the sequences."""
        index = int(random.integers(self.batch.luma.shape[1]))
        return pack420(self.batch.luma[:, index], self.batch.chroma[:, index])

    def hints(self, place: Place) -> tuple[Tensor, Tensor]:
        """Flows from a frame to its two references `[B, 2, H/4, W/4]` each."""
        first = self._flow(place.position, place.first)
        return first, first if place.second == place.first else self._flow(place.position, place.second)

    def keep(self, anchor: Reference, span: int) -> None:
        """Leave *anchor*, *span* frames on, for the next group."""
        self.anchor = detached(anchor)
        self._position = self._index(span)

    def condition(self, quality_index: Tensor, place: Place | None, kin: Reference | None) -> Condition:
        def everywhere(value: float) -> Tensor:
            return torch.full_like(quality_index, value)

        return Condition(
            quality_index=quality_index,
            visual=self.visual,
            distance=everywhere(place.distance if place else 0),
            is_between=everywhere(place.is_between if place else 0),
            kin_quality=everywhere(0) if kin is None else kin.quality_index,
        )

    def _index(self, position: int) -> int:
        return self._position + self._direction * position

    def _flow(self, position: int, reference: int) -> Tensor:
        return flow_between(self.batch, self._index(position), self._index(reference), self._search)


def flow_between(batch: Batch, source: int, target: int, search: cv2.DISOpticalFlow) -> Tensor:
    """The encoder's hints from frames *source* to frames *target* of all sequences `[B, 2, H/4, W/4]`."""
    luma = ((batch.luma[:, [source, target], 0] + 0.5) * 255).round().byte().numpy()
    return torch.stack([block_flow(clip[0], clip[1], search) for clip in luma])
