"""
MS-SSIM as libvmaf computes it (Wang et al., 2003), differentiable.

It differs from the common short cut in two ways that move the figure by half a decibel: contrast and structure are
averaged over the picture on their own before they are multiplied, and pictures are halved by a wavelet's low-pass.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_HALVING = (0.026727, -0.016828, -0.078201, 0.266846, 0.602914, 0.266846, -0.078201, -0.016828, 0.026727)
SIDE_MIN = 176
"""The window has to fit into the smallest scale."""
_WINDOW_SIDE, _WINDOW_DEVIATION = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
_LEAST = 1e-4
"""Below this a mean is not a similarity any more, and its power has no gradient."""


@lru_cache
def _window(side: int) -> Tensor:
    """The Gaussian window along *side* samples, where it fits, as a matrix `[side - 10, side]`."""
    places = torch.arange(_WINDOW_SIDE) - _WINDOW_SIDE // 2
    bell = torch.exp(-(places**2) / (2 * _WINDOW_DEVIATION**2))
    matrix = torch.zeros(side - _WINDOW_SIDE + 1, side)
    for row in range(len(matrix)):
        matrix[row, row : row + _WINDOW_SIDE] = bell / bell.sum()
    return matrix


@lru_cache
def _halving(side: int) -> Tensor:
    """The low-pass that halves *side* samples, edges mirrored, as a matrix `[side / 2, side]`."""
    reach = len(_HALVING) // 2
    matrix = torch.zeros((side + 1) // 2, side)
    for row in range(len(matrix)):
        for tap, weight in enumerate(_HALVING):
            place = 2 * row + tap - reach
            place = -1 - place if place < 0 else min(place, 2 * side - 1 - place)
            matrix[row, place] += weight
    return matrix


def _filtered(pictures: Tensor, matrix: Callable[[int], Tensor]) -> Tensor:
    """
    Columns and rows of *pictures* `[B, 1, H, W]`.

    As products with a banded matrix: with a single channel that is several times faster than a convolution.
    """
    height, width = pictures.shape[-2:]
    return matrix(height) @ pictures @ matrix(width).T


def ms_ssim(pictures: Tensor, targets: Tensor) -> Tensor:
    """Similarity `[B]` of luma `[B, 1, H, W]` in 0..1; both sides at least `SIDE_MIN`."""
    # Never in bfloat16: variances are differences of nearly equal numbers.
    with torch.autocast(pictures.device.type, enabled=False):
        return _similarity(pictures.float(), targets.float())


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    similarity = torch.ones(len(x))
    for scale, weight in enumerate(_WEIGHTS):
        if scale:
            x, y = _filtered(x, _halving), _filtered(y, _halving)
        means = _filtered(torch.cat([x, y, x * x, y * y, x * y]), _window)
        mean_x, mean_y, square_x, square_y, product = means.chunk(5)
        variance_x = (square_x - mean_x * mean_x).clamp_min(0)
        variance_y = (square_y - mean_y * mean_y).clamp_min(0)
        covariance = product - mean_x * mean_y
        deviations = (variance_x * variance_y + 1e-12).sqrt()
        contrast = (2 * deviations + _C2) / (variance_x + variance_y + _C2)
        structure = (covariance + _C2 / 2) / (deviations + _C2 / 2)
        parts = contrast.mean((1, 2, 3)) * structure.mean((1, 2, 3)).clamp_min(_LEAST)
        similarity = similarity * parts**weight
        if scale == len(_WEIGHTS) - 1:
            luminance = (2 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
            similarity = similarity * luminance.mean((1, 2, 3)) ** weight
    return similarity
