"""
A baseline as data: all that decides what it needs, in one document with a version and a hash.

Evidence carries the hash, so that two measurements are compared only if they measured the same thing. A setting that
changes is a new version; the document of an older one stays what it was. Those that come with the package stand in
`baselines.json`; a contract may bring its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Self

from narrows_metering.canonical import canonical_json
from narrows_metering.document import (
    read_count,
    read_list,
    read_members,
    read_object,
    read_optional_count,
    read_text,
)

RUNGS_MAX: Final = 32
OPTIONS_MAX: Final = 32
_CRF_MAX: Final = 63  # libsvtav1's; x264 and x265 end at 51.
_BITS_PER_KBIT: Final = 1_000
_MEMBERS: Final = (
    "baseline_id version encoder build preset options crf_lowest crf_highest crf_start crf_step points_min "
    "gop_frames_max pixel_format scored_frames_min scored_frames_max metric psnr_tolerance_percent ladder"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One rung of the ladder that the customer would have bought: up to this height, at most this rate."""

    height: int
    kbps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSpec:
    """
    One baseline, fixed.

    Its rate control is constant quality: the baseline is encoded from *crf_start* in steps until our quality lies
    between two measured points, at least *points_min* of them and none outside *crf_lowest* to *crf_highest*; quality
    is never extrapolated. An empty *ladder* caps nothing.
    """

    baseline_id: str
    version: int
    encoder: str  # As FFmpeg names it.
    build: str | None  # "ffmpeg 8.0, libavcodec 62.11.100"; None accepts any, and evidence says which it was.
    preset: str
    options: Mapping[str, str]  # Further options of FFmpeg's encoder, such as one thread for the same bytes everywhere.
    crf_lowest: int
    crf_highest: int
    crf_start: int
    crf_step: int
    points_min: int
    gop_frames_max: int
    pixel_format: str
    scored_frames_min: int
    scored_frames_max: int
    metric: str  # With its version: what equal quality means.
    psnr_tolerance_percent: int | None  # How far the baseline's bytes at equal PSNR may lie from the metric's.
    ladder: tuple[Rung, ...] = ()

    def __post_init__(self) -> None:
        for name in ("baseline_id", "encoder", "preset", "pixel_format", "metric"):
            if not getattr(self, name):
                raise ValueError(f"{name}: empty")
        if not 0 <= self.crf_lowest <= self.crf_start <= self.crf_highest <= _CRF_MAX or self.crf_step < 1:
            raise ValueError(f"crf: not 0 ≤ lowest ≤ start ≤ highest ≤ {_CRF_MAX} in steps from 1")
        if not 2 <= self.points_min <= 1 + (self.crf_highest - self.crf_lowest) // self.crf_step:
            raise ValueError("points_min: not from 2 to as many as the range of crf holds")
        if self.version < 1 or self.gop_frames_max < 1 or not 1 <= self.scored_frames_min <= self.scored_frames_max:
            raise ValueError("version, gop_frames_max or scored frames: out of range")
        if not all(isinstance(value, str) for value in self.options.values()) or len(self.options) > OPTIONS_MAX:
            raise ValueError(f"options: not at most {OPTIONS_MAX} texts")
        heights = [rung.height for rung in self.ladder]
        if heights != sorted(set(heights)) or any(rung.height < 1 or rung.kbps < 1 for rung in self.ladder):
            raise ValueError("ladder: heights must rise, and rates start at 1 kbit/s")
        if self.psnr_tolerance_percent is not None and self.psnr_tolerance_percent < 0:
            raise ValueError("psnr_tolerance_percent: negative")

    def bytes_max(self, *, height: int, duration_ms: int) -> int | None:
        """
        The most that a video of *height* would have taken on the ladder: no credit for quality nobody would have
        bought. Above the highest rung its rate holds. None without a ladder.
        """
        if not self.ladder:
            return None
        rung = next((rung for rung in self.ladder if rung.height >= height), self.ladder[-1])
        return rung.kbps * _BITS_PER_KBIT * duration_ms // 8_000

    def to_dict(self) -> dict[str, Any]:
        """The document."""
        return asdict(self) | {"options": dict(self.options), "ladder": [asdict(rung) for rung in self.ladder]}

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Read `to_dict`'s result. Raises ValueError naming what is wrong."""
        members = read_members(document, _MEMBERS, "baseline")
        rungs = [read_members(rung, "height kbps", "ladder") for rung in read_list(members, "ladder", most=RUNGS_MAX)]
        return cls(
            baseline_id=read_text(members, "baseline_id"),
            version=read_count(members, "version"),
            encoder=read_text(members, "encoder"),
            build=None if members["build"] is None else read_text(members, "build"),
            preset=read_text(members, "preset"),
            options=read_object(members, "options"),
            crf_lowest=read_count(members, "crf_lowest"),
            crf_highest=read_count(members, "crf_highest"),
            crf_start=read_count(members, "crf_start"),
            crf_step=read_count(members, "crf_step"),
            points_min=read_count(members, "points_min"),
            gop_frames_max=read_count(members, "gop_frames_max"),
            pixel_format=read_text(members, "pixel_format"),
            scored_frames_min=read_count(members, "scored_frames_min"),
            scored_frames_max=read_count(members, "scored_frames_max"),
            metric=read_text(members, "metric"),
            psnr_tolerance_percent=read_optional_count(members, "psnr_tolerance_percent"),
            ladder=tuple(Rung(height=read_count(rung, "height"), kbps=read_count(rung, "kbps")) for rung in rungs),
        )

    def digest(self) -> str:
        """SHA-256 of the document's canonical JSON, lower-case hex."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()


@cache
def known_baselines() -> Mapping[str, BaselineSpec]:
    """The baselines that come with the package, by their ids; the newest version of each."""
    text = resources.files("narrows_metering").joinpath("baselines.json").read_text("utf-8")
    specs = [BaselineSpec.from_dict(document) for document in json.loads(text)]
    return {spec.baseline_id: spec for spec in sorted(specs, key=lambda spec: spec.version)}
