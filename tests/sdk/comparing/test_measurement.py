"""A clip is coded by everybody who is here, and measured the same way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from narrows.comparing.anchors import ANCHORS
from narrows.comparing.measurement import compare
from narrows.comparing.page import as_json, page
from narrows.settings import Settings

from ..builders import a_clip


def test_a_clip_is_measured_with_every_encoder_that_is_here(tmp_path: Path, settings: Settings) -> None:
    clip = a_clip(tmp_path / "clip.y4m", width=64, height=64, frames=6)
    anchors = [replace(anchor, crfs=anchor.crfs[1:3]) for anchor in ANCHORS if anchor.is_available]
    steps: list[tuple[int, int]] = []

    comparison = compare(
        clip,
        anchors=anchors,
        crfs=(20, 44),
        frames=4,
        settings=settings,
        on_step=lambda _, done, total: steps.append((done, total)),
    )

    assert comparison.frame_count == 4
    assert {p.codec for p in comparison.points} == {"narrows", *(a.name for a in anchors)}
    assert all(p.payload_bytes > 0 and p.psnr and p.psnr > 20 for p in comparison.points)
    assert [s.codec for s in comparison.stills] == ["source", "narrows", *(a.name for a in anchors)]
    assert steps[-1][0] == steps[-1][1] == len(steps) - 1
    assert json.loads(json.dumps(as_json(comparison)))["frame_count"] == 4
    assert "<svg" in page(comparison)
