"""
MS-SSIM of two pictures: Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment",
2003, with the paper's window, weights and constants, halving by the mean of 2×2 samples.

The figures are those of the usual libraries, reached by another way, because evidence measures every frame of every
rung of a ladder. With s = x + y and d = x − y, the paper's terms of variances and covariance become
1 − var(d) / ((var(s) + var(d)) / 2 + C₂), and luminance the same with squared means. That takes four filtered planes in
place of five, and where pictures are nearly equal, small numbers are small instead of differences of large ones.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

WEIGHTS: Final = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SIDE_MIN: Final = 161
"""The window has to fit into the smallest scale."""
_WINDOW_SIDE: Final = 11
_WINDOW_DEVIATION: Final = 1.5
_OVERHANG: Final = _WINDOW_SIDE - 1
_TILE: Final = 54
_C1: Final = (0.01 * 255) ** 2
_C2: Final = (0.03 * 255) ** 2


@torch.inference_mode()
def ms_ssim(one: Tensor, other: Tensor) -> float:
    """The similarity, 0..1, of two planes `[H, W]` with samples in 0..255 and both sides at least `SIDE_MIN`."""
    one, other = one.float(), other.float()
    planes = torch.stack([one + other, one - other])
    similarity = 1.0
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            planes = avg_pool2d(planes, 2, padding=[side % 2 for side in planes.shape[1:]])
        means = _blurred(torch.cat([planes, planes.square()]))
        squared_means, (mean_square_s, mean_square_d) = means[:2].square(), means[2:]
        parts = _alike(mean_square_s - squared_means[0], (mean_square_d - squared_means[1]).clamp_min(0), _C2)
        if scale == len(WEIGHTS) - 1:
            parts = parts * _alike(squared_means[0], squared_means[1], _C1)
        similarity *= max(0.0, float(parts.mean(dtype=torch.float64))) ** weight
    return similarity


def _alike(of_sum: Tensor, of_difference: Tensor, constant: float) -> Tensor:
    return 1 - of_difference / ((of_sum + of_difference) / 2 + constant)


def _blurred(planes: Tensor) -> Tensor:
    """
    The Gaussian window over *planes* `[B, H, W]`, where it fits: `[B, H − 10, W − 10]`.

    As products with a small banded matrix: with a single channel several times faster than a convolution.
    """
    height, width = (side - _OVERHANG for side in planes.shape[1:])
    columns = torch.cat(
        [_window(size) @ planes[:, start : start + size + _OVERHANG] for start, size in _tiles(height)], dim=1
    )
    return torch.cat(
        [columns[:, :, start : start + size + _OVERHANG] @ _window(size).T for start, size in _tiles(width)], dim=2
    )


def _tiles(side: int) -> list[tuple[int, int]]:
    """Where each tile begins, and its size."""
    return [(start, min(_TILE, side - start)) for start in range(0, side, _TILE)]


@lru_cache(maxsize=_TILE)
def _window(size: int) -> Tensor:
    """The window at *size* places side by side, as a matrix `[size, size + 10]`."""
    places = torch.arange(_WINDOW_SIDE) - _WINDOW_SIDE // 2
    bell = torch.exp(-(places**2) / (2 * _WINDOW_DEVIATION**2))
    matrix = torch.zeros(size, size + _OVERHANG)
    for row in range(size):
        matrix[row, row : row + _WINDOW_SIDE] = bell / bell.sum()
    return matrix
