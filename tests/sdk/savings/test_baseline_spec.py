"""Baselines as data."""

from __future__ import annotations

from dataclasses import replace

import pytest
from narrows.savings.baseline import Baseline
from narrows.savings.baseline_spec import spec_of


@pytest.mark.parametrize("baseline", list(Baseline))
def test_a_spec_says_the_encoder_its_build_and_its_settings(baseline: Baseline) -> None:
    spec = spec_of(baseline)
    assert f"{spec.encoder}-{spec.preset}" == spec.baseline_id == baseline.value
    assert "libavcodec" in spec.build
    assert (spec.rate_control, spec.gop_frames_max) == ("crf", 250)


def test_any_setting_that_changes_gives_another_digest() -> None:
    spec = spec_of(Baseline.X265_MEDIUM)
    changed = [
        replace(spec, version=2),
        replace(spec, build="another"),
        replace(spec, preset="slow"),
        replace(spec, crf_step=2),
        replace(spec, gop_frames_max=48),
    ]
    assert len({spec.digest(), *(other.digest() for other in changed)}) == 6
