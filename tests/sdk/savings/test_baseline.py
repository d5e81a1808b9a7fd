"""Evidence: the baseline's bytes at our quality, measured on real encodes."""

from __future__ import annotations

from pathlib import Path

import pytest
from narrows import files
from narrows.errors import UsageError, VideoError
from narrows.media.quality import Metric
from narrows.savings import account
from narrows.savings.baseline import MEASURED, compare
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_metering.record import Kind
from narrows_metering.savings import bytes_at_equal_quality

from tests.sdk.builders import a_clip


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return a_clip(tmp_path / "source.y4m", width=192, height=176, frames=6)


@pytest.fixture
def coded(clip: Path, tmp_path: Path, settings: Settings) -> Path:
    return files.encode(clip, tmp_path / "coded.mkv", crf=30, settings=settings).target


def test_each_baseline_is_measured_around_our_quality(clip: Path, coded: Path) -> None:
    comparison = compare(clip, coded, baselines=account.baselines(None))

    assert [(e.baseline, e.metric) for e in comparison.evidence] == [
        (b, m) for b in account.DEFAULT_BASELINES for m in (Metric.MS_SSIM, Metric.PSNR)
    ]
    for evidence in comparison.evidence:
        assert len(evidence.points) >= 4
        assert evidence.payload_bytes == files.probe(coded).payload_bytes
        if evidence.status == MEASURED:
            sizes = [p.payload_bytes for p in evidence.points]
            assert evidence.baseline_bytes is not None
            assert min(sizes) <= evidence.baseline_bytes <= max(sizes)
            assert evidence.baseline_bytes == bytes_at_equal_quality(evidence.points, evidence.score)
    assert any(e.status == MEASURED for e in comparison.evidence)


def test_evidence_names_the_asset_and_rendition_of_the_encode(clip: Path, coded: Path, settings: Settings) -> None:
    account.record_evidence(clip, coded, account.baselines(["libx264-medium"]), settings=settings)

    with open_meter(settings) as meter:
        _enrolled, encode, *evidence = meter.ledger.records()
        meter.ledger.verify()
    assert [r.kind for r in evidence] == [Kind.EVIDENCE, Kind.EVIDENCE]
    for record in evidence:
        assert record.payload["asset"] == encode.payload["asset"]
        assert record.payload["rendition"] == encode.payload["rendition"]
        assert record.payload["baseline"] == "libx264-medium"


def test_another_source_is_refused(coded: Path, tmp_path: Path) -> None:
    longer = a_clip(tmp_path / "longer.y4m", width=192, height=176, frames=7)
    with pytest.raises(VideoError, match="is it the source"):
        compare(longer, coded, baselines=account.baselines(["libx264-medium"]))


def test_an_unknown_baseline_is_named() -> None:
    with pytest.raises(UsageError, match="libvpx-fast"):
        account.baselines(["libvpx-fast"])
