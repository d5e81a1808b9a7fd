"""Rate and distortion of the stages, per example."""

from __future__ import annotations

import math

import torch
from narrows.codec.model import QUALITY_MAX
from torch import Tensor

LAMBDA_LOWEST = 40.0
LAMBDA_HIGHEST = 20000.0
"""Bits per pixel that one unit of distortion is worth at quality 0 and `QUALITY_MAX`."""
DEPTH_OFFSETS = (0, -12, -6, -12)
"""Quality by depth: what the frames of each group of four give away against its first."""
INTRA_OFFSET = 12


def trade_off(quality_index: Tensor) -> Tensor:
    """λ for each quality index, spaced in log."""
    low, high = math.log(LAMBDA_LOWEST), math.log(LAMBDA_HIGHEST)
    return torch.exp(low + (high - low) * quality_index / QUALITY_MAX).flatten()


def distortion(planes: Tensor, target: Tensor) -> Tensor:
    """Mean squared error `[B]` of packed planes, luma and chroma weighted 6:1:1."""
    squared = (planes - target).square()
    return (6 * squared[:, :64].mean((1, 2, 3)) + 2 * squared[:, 64:].mean((1, 2, 3))) / 8


def decibels(error: Tensor) -> float:
    return float((-10 * torch.log10(error.detach())).mean())
