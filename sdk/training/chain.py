"""
Long chains without long memory: sequences played to and fro, coded group by group.

Training on a handful of frames and coding hundreds lets quality fall along the way. A chain goes on over several steps:
each begins with the reconstruction that the step before left, detached, so that the networks learn to work from
references like those they will meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from narrows.codec.condition import Condition
from narrows.codec.group import Place
from narrows.codec.hints import MotionSearch, Target
from narrows.codec.layers import pack420
from narrows.codec.model import Neighbours
from narrows.codec.motion import Hints
from narrows.codec.objective import error_of_a_bit
from narrows.codec.reference import Reference, detached, luma_bytes
from narrows.options import Preset
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
        self._search = MotionSearch(Preset.FAST)  # With `medium`'s, half of a step's time went into it.

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

    def hints(self, place: Place, neighbours: Neighbours, quality_index: Tensor) -> Hints:
        """How a frame moved against its two references, as an encoder finds it."""
        current = self._index(place.position)
        sources = self._index(place.first), self._index(place.second)
        return found_motion(self.batch, current, sources, neighbours, quality_index, self._search)

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


@torch.no_grad()
def found_motion(
    batch: Batch,
    current: int,
    sources: tuple[int, int],
    neighbours: Neighbours,
    quality_index: Tensor,
    search: MotionSearch,
) -> Hints:
    """The encoder's hints from frame *current* of all sequences to references that were frames *sources*."""
    first, second = neighbours.first, neighbours.second
    forecasts = neighbours.forecasts

    def target(i: int, source: int, reference: Reference, forecast: Tensor) -> Target:
        return Target(luma_bytes(batch.luma[i, source]), luma_bytes(reference.luma[i]), forecast[i : i + 1])

    found = [
        search.hints(
            luma_bytes(batch.luma[i, current]),
            target(i, sources[0], first, forecasts[0]),
            None if first is second else target(i, sources[1], second, forecasts[1]),
            bit_error=error_of_a_bit(quality_index[i]),
        )
        for i in range(len(batch.luma))
    ]
    flows = [torch.cat([hints.flows[k] for hints in found]) for k in (0, 1)]
    return Hints((flows[0], flows[1]), torch.cat([hints.choice for hints in found]))
