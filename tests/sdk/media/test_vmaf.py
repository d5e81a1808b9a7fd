"""VMAF NEG by a process of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from narrows import files
from narrows.media.picture import Picture
from narrows.media.quality import Metric, QualityMeter, available_metrics
from narrows.media.vmaf import VmafMeter, find_ffmpeg
from narrows.savings.account import baselines
from narrows.savings.reproduction import measure
from narrows.settings import Settings

from tests.sdk.builders import a_clip, a_picture

pytestmark = pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg with libvmaf: pip install narrows[vmaf]")


def noisy(picture: Picture, amount: int) -> Picture:
    """*picture* with noise on its luma."""
    noise = np.random.default_rng(1).integers(-amount, amount + 1, picture.luma.shape)
    luma = np.clip(picture.luma.astype(int) + noise, 0, 255).astype(np.uint8)
    return Picture(luma, picture.cb, picture.cr)


def score(decoded: Picture, source: Picture) -> int:
    """The score of one picture."""
    meter = VmafMeter(find_ffmpeg() or "", source.width, source.height)
    meter.add(source, decoded)
    try:
        return meter.score()
    finally:
        meter.close()


def test_more_noise_scores_lower_and_the_same_pictures_score_the_same() -> None:
    source = a_picture(320, 192)
    scores = [score(noisy(source, amount), source) for amount in (0, 20, 60)]
    assert 90_000_000 < scores[0] <= 100_000_000
    assert scores[0] > scores[1] > scores[2]
    assert score(noisy(source, 20), source) == scores[1]


def test_a_meter_measures_vmaf_only_if_it_is_asked_to() -> None:
    picture = a_picture(320, 192)
    for metrics, is_measured in (((), False), ((Metric.VMAF_NEG,), True)):
        meter = QualityMeter(320, 192, metrics)
        meter.add(picture, picture)
        assert (meter.score(Metric.VMAF_NEG) is not None) is is_measured
        meter.close()


def test_evidence_has_vmaf_beside_the_others(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m")
    coded = files.encode(source, tmp_path / "coded.mkv", settings=settings).target
    document = measure(source, coded, baselines(["libx264-medium"]), metrics=available_metrics())
    assert [item["metric"] for item in document["evidence"]] == ["ms_ssim", "psnr", "vmaf_neg_v0.6.1"]
    assert type(document["evidence"][2]["score"]) is int
