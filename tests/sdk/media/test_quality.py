"""The scores that evidence rests on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from narrows.media.picture import Picture
from narrows.media.quality import Metric, QualityMeter, ms_ssim_index, psnr, to_decibels

from tests.sdk.builders import a_picture


def brighter(picture: Picture, levels: int) -> Picture:
    luma = np.clip(picture.luma.astype(int) + levels, 0, 255).astype(np.uint8)
    return Picture(luma=luma, cb=picture.cb, cr=picture.cr)


def test_psnr_weighs_luma_six_to_one_to_one() -> None:
    picture = Picture(*(np.full(s, 100, np.uint8) for s in ((48, 64), (24, 32), (24, 32))))

    expected = (6 * 10 * math.log10(255**2 / 4) + 100 + 100) / 8
    assert psnr(picture, brighter(picture, 2)) == pytest.approx(expected)


def test_identical_pictures_are_perfect() -> None:
    picture = a_picture(192, 176)

    assert psnr(picture, picture) == 100
    assert ms_ssim_index(picture, picture) == pytest.approx(1)


def test_ms_ssim_falls_with_noise() -> None:
    picture = a_picture(192, 176)
    random = np.random.default_rng(0)
    scores = []
    for level in (0, 4, 16):
        noise = random.normal(0, level, picture.luma.shape) if level else 0
        noisy = np.clip(picture.luma + noise, 0, 255).astype(np.uint8)
        scores.append(ms_ssim_index(picture, Picture(luma=noisy, cb=picture.cb, cr=picture.cr)))

    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[2]


def test_small_pictures_have_no_ms_ssim() -> None:
    picture = a_picture(160, 200)
    meter = QualityMeter(160, 200)
    meter.add(picture, brighter(picture, 1))

    assert meter.decibels(Metric.MS_SSIM) is None
    assert meter.score(Metric.PSNR) == round(psnr(picture, brighter(picture, 1)) * 1_000_000)


def test_ninety_per_cent_is_ten_decibels() -> None:
    assert to_decibels(0.9) == pytest.approx(10)
