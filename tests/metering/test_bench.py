"""Benches: ratios that follow from their clips, and a signature that is checked on every reading."""

from __future__ import annotations

import json

import pytest
from narrows_licensing.signature import thumbprint
from narrows_metering.bench import Bench, BenchClip, sign_bench
from narrows_metering.testing import a_bench, a_key


def test_a_class_saves_what_its_clips_save_together() -> None:
    clips = [
        BenchClip(name="a", content_class="film", bytes_ours=800, bytes_baseline=1_000),
        BenchClip(name="b", content_class="film", bytes_ours=1_200, bytes_baseline=1_000),
        BenchClip(name="c", content_class="noise", bytes_ours=300, bytes_baseline=200),
    ]
    bench = sign_bench("b-1", baseline_id="libx265-medium", metric="ms_ssim", clips=clips, key=a_key("vendor"))
    assert bench.saved_ppm() == {"film": 0, "noise": -333_334}  # Rounded down.
    assert bench.signed_by == thumbprint(a_key("vendor").public_key())


def test_a_bench_survives_being_written_and_read() -> None:
    bench = a_bench({"film": (800, 1_000)})
    assert Bench.from_dict(json.loads(json.dumps(bench.to_dict()))) == bench


def test_a_bench_that_was_altered_or_not_signed_is_refused() -> None:
    document = a_bench({"film": (800, 1_000)}).to_dict()
    document["clips"][0]["baseline_bytes"] = 1_001
    with pytest.raises(ValueError, match="not what was signed"):
        Bench.from_dict(document)
    with pytest.raises(ValueError, match="has not signed"):
        Bench.from_dict({**document, "signatures": {"vendor": None, "customer": None}})
