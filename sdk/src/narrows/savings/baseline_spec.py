"""
A baseline as data: all that decides what it needs, in one document with a version and a hash.

Evidence carries the hash, so that two measurements are compared only if they measured the same thing. A setting that
changes is a new version; the document of an older one stays what it was.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import av
from narrows_metering.canonical import canonical_json

from narrows.savings.baseline import (
    CRF_HIGHEST,
    CRF_LOWEST,
    CRF_STEP,
    POINTS_MIN,
    SCORED_FRAMES_MAX,
    SCORED_FRAMES_MIN,
    Baseline,
)

VERSION = 1
GOP_FRAMES_MAX = 250  # What x264 and x265 have by default.


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSpec:
    """One baseline, fixed. The tolerance between metrics is the contract's, since it decides and does not measure."""

    baseline_id: str
    version: int
    encoder: str
    build: str  # Of FFmpeg and its libavcodec, which carry the encoder.
    preset: str
    rate_control: str
    crf_lowest: int
    crf_highest: int
    crf_step: int
    points_min: int
    gop_frames_max: int
    pixel_format: str
    scored_frames_min: int
    scored_frames_max: int

    def to_dict(self) -> dict[str, int | str]:
        """The document."""
        return asdict(self)

    def digest(self) -> str:
        """SHA-256 of the document's canonical JSON."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()


def spec_of(baseline: Baseline) -> BaselineSpec:
    """*baseline* as it is measured on this machine."""
    codec = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return BaselineSpec(
        baseline_id=baseline.value,
        version=VERSION,
        encoder=baseline.encoder,
        build=f"ffmpeg {av.ffmpeg_version_info}, libavcodec {codec}",
        preset=baseline.preset,
        rate_control="crf",
        crf_lowest=CRF_LOWEST,
        crf_highest=CRF_HIGHEST,
        crf_step=CRF_STEP,
        points_min=POINTS_MIN,
        gop_frames_max=GOP_FRAMES_MAX,
        pixel_format="yuv420p",
        scored_frames_min=SCORED_FRAMES_MIN,
        scored_frames_max=SCORED_FRAMES_MAX,
    )
