"""
What block transforms leave behind, taken away again: a small network on the whole picture at a quarter of its size.

It comes last, before a reconstruction is shown and predicted from. At a quarter a network has 24 samples to learn
instead of the 96 of a packed position, and sees four times as many examples of them.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from narrows.codec.condition import Condition
from narrows.codec.layers import Stage

_SAMPLES = 24
"""16 luma, 4 Cb and 4 Cr samples of each 4×4 block."""
_LUMA = 16
_INPUT_GAIN = 4.0
_OUTPUT_GAIN = 16.0


class LoopFilter(nn.Module):
    """
    Corrects reconstructions; starts as the identity.

    Between frames that predict from each other it corrects luma alone: it took 0.2 to 0.4 dB off the chroma of every
    frame, and nobody got anything for it.
    """

    def __init__(self, width: int, count: int, *, corrects_chroma: bool) -> None:
        super().__init__()
        self.stage = Stage(nn.Conv2d(_SAMPLES, width, 1), width, count)
        self.head = nn.Conv2d(width, _SAMPLES if corrects_chroma else _LUMA, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, planes: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """Packed planes `[B, 96, H/8, W/8]` in; luma `[B, 1, H, W]` and chroma `[B, 2, H/2, W/2]` out."""
        samples = quarters(planes)
        correction = self.head(self.stage(samples * _INPUT_GAIN, condition)) / _OUTPUT_GAIN
        chroma = samples[:, _LUMA:]
        if correction.shape[1] == _SAMPLES:
            chroma = chroma + correction[:, _LUMA:]
        return F.pixel_shuffle(samples[:, :_LUMA] + correction[:, :_LUMA], 4), F.pixel_shuffle(chroma, 2)


def quarters(planes: Tensor) -> Tensor:
    """Packed planes `[B, 96, H/8, W/8]` packed by blocks of 4×4 instead: `[B, 24, H/4, W/4]`."""
    return F.pixel_shuffle(planes[:, _ORDER], 2)


def _order() -> list[int]:
    """For each sample of a 4×4 block, the planes that hold it in the four quarters of an 8×8 block."""
    quarter = [(row, column) for row in range(2) for column in range(2)]
    luma = [8 * (4 * row + y) + 4 * column + x for y in range(4) for x in range(4) for row, column in quarter]
    chroma = [
        64 + 16 * plane + 4 * (2 * row + y) + 2 * column + x
        for plane in range(2)
        for y in range(2)
        for x in range(2)
        for row, column in quarter
    ]
    return luma + chroma


_ORDER = _order()
