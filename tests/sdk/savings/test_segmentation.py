"""Long files: segments of whole groups, drawn by a seed, measured alone, and the same when measured again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows import files
from narrows.media.coded_file import CodedFile
from narrows.media.quality import Metric
from narrows.savings.account import baselines
from narrows.savings.baseline import compare
from narrows.savings.reproduction import measure, reproduce
from narrows.savings.segmentation import SegmentDraw, cut_segments, select
from narrows.settings import Settings
from narrows_metering.segments import draw_segments, extrapolate

from tests.sdk.builders import a_clip

SPEC = replace(baselines(["libx264-medium"])[0], gop_frames_max=4, points_min=2)
DRAW = SegmentDraw(period="2026-11", seed=b"s" * 32, wanted=2, rendition="film")
PSNR = (Metric.PSNR,)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Sixteen frames in four groups, beside their source."""
    folder = tmp_path_factory.mktemp("long")
    source = a_clip(folder / "source.y4m", frames=16)
    settings = Settings(license_path=folder / "license.json", roots_path=None, state_folder=folder / "state")
    from datetime import UTC, datetime

    from narrows_licensing.development import development_license_file

    settings.license_path.write_text(development_license_file(datetime.now(UTC)))
    return source, files.encode(source, folder / "coded.mkv", keyint=4, settings=settings).target


@given(st.lists(st.integers(1, 60), max_size=30), st.integers(1, 80))
def test_segments_are_whole_groups_and_none_is_too_short(lengths: list[int], frames_min: int) -> None:
    keys = [sum(lengths[:n]) for n in range(len(lengths))]
    count = sum(lengths) or 1
    segments = cut_segments(keys or [0], count, frames_min)
    assert [one.first for one in segments] == [0, *(one.last + 1 for one in segments[:-1])]
    assert segments[-1].last == count - 1
    assert {one.first for one in segments} <= {0, *keys}
    assert len(segments) == 1 or all(one.last - one.first + 1 >= frames_min for one in segments)


def test_only_the_drawn_segments_are_measured(pair: tuple[Path, Path]) -> None:
    source, coded = pair
    chosen = draw_segments(DRAW.seed, "film", count=4, wanted=2)
    selection = select(CodedFile.open(coded), 4, DRAW)
    assert (selection.count, tuple(one.index for one in selection.segments)) == (4, chosen)

    whole = compare(source, coded, baselines=[SPEC], metrics=PSNR)
    part = compare(source, coded, baselines=[SPEC], metrics=PSNR, draw=DRAW)
    (all_of_it,), (evidence,) = whole.evidence, part.evidence
    assert evidence.segments is not None
    assert tuple(one.index for one in evidence.segments.parts) == chosen
    assert sum(one.bytes_ours for one in evidence.segments.parts) == evidence.payload_bytes < all_of_it.payload_bytes
    assert (part.payload_bytes, part.asset_digest) == (whole.payload_bytes, whole.asset_digest)


def test_the_whole_is_extrapolated_and_the_part_is_reproduced(pair: tuple[Path, Path], tmp_path: Path) -> None:
    source, coded = pair
    document = measure(source, coded, [SPEC], metrics=PSNR, draw=DRAW)
    (found,) = document["evidence"]
    assert document["draw"] == {"period": "2026-11", "seed": (b"s" * 32).hex(), "wanted": 2, "rendition": "film"}
    if found["baseline_bytes"]:
        whole = sum(len(packet.data) for packet in CodedFile.open(coded).packets())
        assert found["extrapolated"] == {
            "bytes": whole,
            "baseline_bytes": extrapolate(found["bytes"], found["baseline_bytes"], whole_ours=whole),
        }
    evidence = tmp_path / "evidence.json"
    evidence.write_text(json.dumps(document))
    assert reproduce(evidence).difference is None
    # Another draw would be other segments, hence other bytes.
    document["draw"]["seed"] = (b"t" * 32).hex()
    evidence.write_text(json.dumps(document))
    assert reproduce(evidence).difference


def test_a_file_of_few_segments_is_measured_as_a_whole(pair: tuple[Path, Path]) -> None:
    source, coded = pair
    (evidence,) = compare(source, coded, baselines=[SPEC], metrics=PSNR, draw=replace(DRAW, wanted=4)).evidence
    assert evidence.segments is None


def test_av1_is_a_baseline_too(pair: tuple[Path, Path]) -> None:
    source, coded = pair
    (spec,) = baselines(["libsvtav1-6"])
    one, two = (compare(source, coded, baselines=[spec], metrics=PSNR).evidence for _ in range(2))
    assert one == two
    assert one[0].points
