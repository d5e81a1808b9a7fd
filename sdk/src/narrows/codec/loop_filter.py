"""
What block transforms leave behind, taken away again: a small network on the whole picture at a quarter of its size.

It comes last, before a reconstruction is shown and predicted from. At a quarter a network has 24 samples to learn
instead of the 96 of a packed position, and sees four times as many examples of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from narrows.codec.condition import Condition
from narrows.codec.layers import Stage, pack420, unpack420

_SAMPLES = 24
"""16 luma, 4 Cb and 4 Cr samples of each 4×4 block."""
_INPUT_GAIN = 4.0
_OUTPUT_GAIN = 16.0


class LoopFilter(nn.Module):
    """Corrects reconstructions; starts as the identity."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.stage = Stage(nn.Conv2d(_SAMPLES, width, 1), width, count)
        self.head = nn.Conv2d(width, _SAMPLES, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, planes: Tensor, condition: Condition) -> Tensor:
        """Packed planes `[B, 96, H/8, W/8]` in, the same out."""
        luma, chroma = unpack420(planes)
        samples = torch.cat([F.pixel_unshuffle(luma, 4), F.pixel_unshuffle(chroma, 2)], 1)
        correction = self.head(self.stage(samples * _INPUT_GAIN, condition)) / _OUTPUT_GAIN
        parts = F.pixel_shuffle(correction[:, :16], 4), F.pixel_shuffle(correction[:, 16:], 2)
        return planes + pack420(*parts)
