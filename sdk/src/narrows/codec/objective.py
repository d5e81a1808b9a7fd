"""What a bit is worth: λ and distortion of each example of a batch. The objective of training and `refinement`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from narrows.codec.condition import QUALITY_MAX
from narrows.codec.layers import unpack420
from narrows.codec.structure import SIDE_MIN, ms_ssim

LAMBDA_LOWEST = 40.0
LAMBDA_HIGHEST = 20000.0
"""Bits per pixel that one unit of distortion is worth at quality 0 and `QUALITY_MAX`."""
CHROMA_SHARE = 3.0
"""
Of each chroma plane in the fidelity objective, against 6 of luma. PSNR averages decibels 6:1:1, and chroma's error is
the smaller one: an equal step there is worth more than its share.
"""
MOTION_PRICE = 3.0
"""
What a prediction misses can still be coded, so a bit of motion has to save more than its worth of error: 1 needs 4 to
8 % more bytes on a clip with much motion, 4 as much as 3.
"""
VISUAL_UNIT = 0.02
"""What 1 − MS-SSIM counts in squared error: the ratio of the λ that published codecs use for the two."""
VISUAL_ERROR_SHARE = 0.15


def trade_off(quality_index: Tensor) -> Tensor:
    """λ for each quality index, spaced in log."""
    low, high = math.log(LAMBDA_LOWEST), math.log(LAMBDA_HIGHEST)
    return torch.exp(low + (high - low) * quality_index / QUALITY_MAX).flatten()


def error_of_a_bit(quality_index: Tensor) -> float:
    """The sum of squared errors of a prediction's 8-bit luma samples that one bit of motion has to save."""
    luma_share = 6 / (6 + 2 * CHROMA_SHARE)
    return MOTION_PRICE * 255**2 / (luma_share * float(trade_off(quality_index)))


def squared_error(planes: Tensor, target: Tensor, chroma: float = 1.0) -> Tensor:
    """Mean squared error `[B]` of packed planes; *chroma* is the share of each chroma plane against 6 of luma."""
    squared = (planes - target).square()
    luma, both = squared[:, :64].mean((1, 2, 3)), squared[:, 64:].mean((1, 2, 3))
    return (6 * luma + 2 * chroma * both) / (6 + 2 * chroma)


def structural_error(planes: Tensor, target: Tensor) -> Tensor:
    """1 − MS-SSIM of luma, `[B]`; both sides at least `SIDE_MIN` samples."""
    pictures = [unpack420(x)[0] + 0.5 for x in (planes, target)]
    return 1 - ms_ssim(pictures[0], pictures[1])


def distortion(planes: Tensor, target: Tensor, visual: Tensor) -> Tensor:
    """
    What the tune of each example minds, `[B]`: *visual* `[B, 1, 1, 1]` is 1 for `visual`, 0 for `fidelity`.

    `fidelity` is squared error; `visual` is structure first, with enough squared error to hold colours and flat areas.
    """
    errors = squared_error(planes, target, CHROMA_SHARE)
    wanted = visual.flatten() > 0
    if not wanted.any() or min(planes.shape[-2:]) * 8 < SIDE_MIN:
        return errors
    structure = VISUAL_UNIT * structural_error(planes[wanted], target[wanted])
    mixed = (1 - VISUAL_ERROR_SHARE) * structure + VISUAL_ERROR_SHARE * errors[wanted]
    return errors.masked_scatter(wanted, mixed)


def decibels(error: Tensor) -> float:
    return float((-10 * torch.log10(error.detach())).mean())
