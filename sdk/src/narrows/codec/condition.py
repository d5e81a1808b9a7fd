"""
What both sides know of a frame before its first symbol: quality, tune, and where its references stand.

One set of weights serves all rates, both tunes and every place in a group of pictures. The floating-point networks get
the condition as a short vector that scales and shifts channels, the integer networks as constant planes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

QUALITY_MAX: Final = 126
DISTANCE_MAX: Final = 16
"""Frames between a frame and its references; also the longest run between two anchors."""
CONDITION_SIZE: Final = 7
CONDITION_PLANES: Final = 6


@dataclass(frozen=True, slots=True)
class Condition:
    """
    Of a batch of frames; every member `[B, 1, 1, 1]` and holding integers.

    *quality_index* 0..126; *visual* 1 for that tune, 0 for fidelity; *distance* in frames to the nearest reference, 0
    for an intra frame; *is_between* 1 where the two references lie on both sides; *kin_quality* is the quality
    index of the reference that was coded last, 0 for an intra frame.
    """

    quality_index: Tensor
    visual: Tensor
    distance: Tensor
    is_between: Tensor
    kin_quality: Tensor

    @classmethod
    def of_frame(
        cls, quality_index: int, *, visual: bool, distance: int = 0, is_between: bool = False, kin_quality: int = 0
    ) -> Condition:
        values = (quality_index, visual, distance, is_between, kin_quality)
        return cls(*(torch.full((1, 1, 1, 1), float(value)) for value in values))

    @property
    def quality(self) -> Tensor:
        """0..1."""
        return self.quality_index / QUALITY_MAX

    def vector(self) -> Tensor:
        """`[B, CONDITION_SIZE, 1, 1]` for `Modulation`."""
        quality, kin = self.quality, self.kin_quality / QUALITY_MAX
        near = torch.log2(1 + self.distance) / 4
        return torch.cat(
            [quality, quality * quality, self.visual, self.visual * quality, near, self.is_between, kin], 1
        )

    def planes(self, height: int, width: int) -> Tensor:
        """`[B, CONDITION_PLANES, height, width]`, unsigned 8-bit integers for `IntegerConv`."""
        values = [
            2 * self.quality_index,
            252 - 2 * self.quality_index,
            252 * self.visual,
            15 * self.distance,
            252 * self.is_between,
            2 * self.kin_quality,
        ]
        return torch.cat(values, 1).expand(-1, -1, height, width)


class Modulation(nn.Module):
    """Scale and shift every channel by what the condition asks for; starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.affine = nn.Conv2d(CONDITION_SIZE, 2 * width, 1)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        scale, shift = self.affine(condition.vector().to(x.device)).chunk(2, 1)
        modulated: Tensor = x * (1 + scale) + shift
        return modulated
