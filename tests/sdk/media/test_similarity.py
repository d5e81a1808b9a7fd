"""Our MS-SSIM gives the figures of pytorch_msssim, whose double precision is the truth here."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from narrows.media.similarity import SIDE_MIN, ms_ssim
from pytorch_msssim import ms_ssim as theirs

from tests.sdk.builders import a_picture


def planes(width: int, height: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    luma = a_picture(width, height).luma
    noisy = luma + np.random.default_rng(7).normal(0, noise, luma.shape)
    return torch.from_numpy(luma), torch.from_numpy(np.clip(noisy, 0, 255).round().astype(np.uint8))


def decibels(index: float) -> float:
    return -10 * math.log10(1 - index)


@pytest.mark.parametrize("noise", [0.3, 2, 10, 60])
@pytest.mark.parametrize(("width", "height"), [(SIDE_MIN, SIDE_MIN), (203, 177), (416, 240), (322, 645)])
def test_it_agrees_with_the_library(width: int, height: int, noise: float) -> None:
    one, other = planes(width, height, noise)

    truth = float(theirs(one[None, None].double(), other[None, None].double(), data_range=255))

    assert ms_ssim(one, other) == pytest.approx(truth, abs=1e-6)
    assert decibels(ms_ssim(one, other)) == pytest.approx(decibels(truth), abs=1e-3)


def test_opposite_pictures_are_not_alike_at_all() -> None:
    luma = torch.randint(0, 256, (200, 200), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))

    assert ms_ssim(luma, 255 - luma) == 0


def test_equal_pictures_are_exactly_alike() -> None:
    one, _ = planes(203, 177, 0)

    assert ms_ssim(one, one) == 1


def test_the_order_does_not_matter() -> None:
    one, other = planes(203, 177, 4)

    assert ms_ssim(one, other) == ms_ssim(other, one)
