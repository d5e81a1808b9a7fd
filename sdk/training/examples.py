"""Draws batches from the prepared arrays: random sequence, random start, flips and transposition."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.sequences import CROP

_LUMA = CROP * CROP
_HALF = CROP // 2


@dataclass(frozen=True, slots=True)
class Batch:
    """*luma* `[B, T, 1, H, W]` and *chroma* `[B, T, 2, H/2, W/2]` in −½..½."""

    luma: Tensor
    chroma: Tensor

    @property
    def pixels(self) -> int:
        """Luma samples of one picture."""
        return self.luma.shape[-2] * self.luma.shape[-1]

    @property
    def latent_size(self) -> tuple[int, int]:
        return self.luma.shape[-2] // 16, self.luma.shape[-1] // 16


class Examples:
    """The sequences of one prepared folder."""

    def __init__(self, folder: Path) -> None:
        self._sequences = np.load(folder / "sequences.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self._sequences)

    def sequence(self, index: int, first: int, frames: int) -> tuple[Tensor, Tensor]:
        """Luma `[T, 1, H, W]` and chroma `[T, 2, H/2, W/2]` of a piece."""
        flat = torch.from_numpy(self._sequences[index, first : first + frames].astype(np.float32)) / 255 - 0.5
        return flat[:, :_LUMA].view(-1, 1, CROP, CROP), flat[:, _LUMA:].view(-1, 2, _HALF, _HALF)

    def draw(self, size: int, frames: int, random: np.random.Generator, crop: int = CROP) -> Batch:
        """*size* random pieces of *frames* frames, cut to *crop*² at a multiple of 16."""
        drawn = []
        for _ in range(size):
            index = int(random.integers(len(self)))
            first = int(random.integers(self._sequences.shape[1] - frames + 1))
            top, left = (int(random.integers(0, (CROP - crop) // 16 + 1)) * 16 for _ in range(2))
            piece = _cut(*self.sequence(index, first, frames), top=top, left=left, side=crop)
            drawn.append(_turned(*piece, turns=random.random(3) < 0.5))
        luma, chroma = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        return Batch(luma=luma, chroma=chroma)


def _cut(luma: Tensor, chroma: Tensor, *, top: int, left: int, side: int) -> tuple[Tensor, Tensor]:
    def part(x: Tensor, divisor: int) -> Tensor:
        rows, columns = slice(top // divisor, (top + side) // divisor), slice(left // divisor, (left + side) // divisor)
        return x[..., rows, columns]

    return part(luma, 1), part(chroma, 2)


def _turned(luma: Tensor, chroma: Tensor, turns: np.ndarray) -> tuple[Tensor, Tensor]:
    """Flip left–right, flip up–down, transpose."""
    if turns[0]:
        luma, chroma = luma.flip(-1), chroma.flip(-1)
    if turns[1]:
        luma, chroma = luma.flip(-2), chroma.flip(-2)
    if turns[2]:
        luma, chroma = luma.transpose(-1, -2), chroma.transpose(-1, -2)
    return luma, chroma
