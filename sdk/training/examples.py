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
    """*luma* `[B, T, 1, H, W]` and *chroma* `[B, T, 2, H/2, W/2]` in −½..½, *hints* `[B, T-1, 2, H/4, W/4]`."""

    luma: Tensor
    chroma: Tensor
    hints: Tensor

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
        self._hints = np.load(folder / "hints.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self._sequences)

    def sequence(self, index: int, first: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
        """Luma `[T, 1, H, W]`, chroma `[T, 2, H/2, W/2]` and hints `[T-1, 2, H/4, W/4]` of a piece."""
        flat = torch.from_numpy(self._sequences[index, first : first + frames].astype(np.float32)) / 255 - 0.5
        hints = torch.from_numpy(self._hints[index, first : first + frames - 1].astype(np.float32))
        return flat[:, :_LUMA].view(-1, 1, CROP, CROP), flat[:, _LUMA:].view(-1, 2, _HALF, _HALF), hints

    def draw(self, size: int, frames: int, random: np.random.Generator, crop: int = CROP) -> Batch:
        """*size* random pieces of *frames* frames, cut to *crop*² at a multiple of 16."""
        drawn = []
        for _ in range(size):
            index = int(random.integers(len(self)))
            first = int(random.integers(self._sequences.shape[1] - frames + 1))
            top, left = (int(random.integers(0, (CROP - crop) // 16 + 1)) * 16 for _ in range(2))
            piece = _cut(*self.sequence(index, first, frames), top=top, left=left, side=crop)
            drawn.append(_turned(*piece, turns=random.random(3) < 0.5))
        luma, chroma, hints = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        return Batch(luma=luma, chroma=chroma, hints=hints)


def _cut(
    luma: Tensor, chroma: Tensor, hints: Tensor, *, top: int, left: int, side: int
) -> tuple[Tensor, Tensor, Tensor]:
    def part(x: Tensor, divisor: int) -> Tensor:
        rows, columns = slice(top // divisor, (top + side) // divisor), slice(left // divisor, (left + side) // divisor)
        return x[..., rows, columns]

    return part(luma, 1), part(chroma, 2), part(hints, 4)


def _turned(luma: Tensor, chroma: Tensor, hints: Tensor, turns: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Flip left–right, flip up–down, transpose; the flow's components follow."""
    if turns[0]:
        luma, chroma, hints = luma.flip(-1), chroma.flip(-1), hints.flip(-1) * torch.tensor([-1.0, 1.0])[:, None, None]
    if turns[1]:
        luma, chroma, hints = luma.flip(-2), chroma.flip(-2), hints.flip(-2) * torch.tensor([1.0, -1.0])[:, None, None]
    if turns[2]:
        luma, chroma, hints = luma.transpose(-1, -2), chroma.transpose(-1, -2), hints.transpose(-1, -2).flip(-3)
    return luma, chroma, hints
