"""Baselines as data: what is shipped, what a document must say, and where the ladder ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from narrows_metering.baseline_spec import BaselineSpec, Rung, known_baselines

SPEC = known_baselines()["libx265-medium"]


def test_the_baselines_that_come_with_the_package() -> None:
    assert sorted(known_baselines()) == ["libsvtav1-6", "libx264-medium", "libx265-medium"]
    assert all(spec.baseline_id == f"{spec.encoder}-{spec.preset}" for spec in known_baselines().values())


def test_a_baseline_survives_being_written_and_read() -> None:
    spec = replace(SPEC, build="ffmpeg 8.1", psnr_tolerance_percent=30, ladder=(Rung(height=720, kbps=3_000),))
    assert BaselineSpec.from_dict(spec.to_dict()) == spec


def test_another_setting_is_another_hash() -> None:
    others = [replace(SPEC, preset="slow"), replace(SPEC, version=2), replace(SPEC, gop_frames_max=48)]
    assert len({spec.digest() for spec in (SPEC, *others)}) == 4


def test_the_ladder_ends_where_nobody_would_have_bought_more() -> None:
    spec = replace(SPEC, ladder=(Rung(height=360, kbps=800), Rung(height=1080, kbps=6_000)))
    assert spec.bytes_max(height=360, duration_ms=10_000) == 1_000_000
    assert spec.bytes_max(height=720, duration_ms=10_000) == 7_500_000
    assert spec.bytes_max(height=2160, duration_ms=10_000) == 7_500_000
    assert SPEC.bytes_max(height=360, duration_ms=10_000) is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d.pop("metric"), "members"),
        (lambda d: d.update(extra=1), "members"),
        (lambda d: d.update(encoder=""), "encoder"),
        (lambda d: d.update(crf_start=60), "crf"),
        (lambda d: d.update(crf_step=0), "crf"),
        (lambda d: d.update(points_min=99), "points_min"),
        (lambda d: d.update(version=0), "version"),
        (lambda d: d.update(version="1"), "version"),
        (lambda d: d.update(ladder=[{"height": 720, "kbps": 1}, {"height": 360, "kbps": 1}]), "ladder"),
        (lambda d: d.update(psnr_tolerance_percent=-1), "psnr_tolerance_percent"),
    ],
)
def test_a_document_that_is_no_baseline_is_refused_by_name(
    change: Callable[[dict[str, Any]], object], named: str
) -> None:
    document = SPEC.to_dict()
    change(document)
    with pytest.raises(ValueError, match=named):
        BaselineSpec.from_dict(document)
