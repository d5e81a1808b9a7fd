"""
A bench: what a set of clips saves per class of content, measured and signed before a customer's own assets are.

M1 bills by it for the first months of a contract. It holds every pair that was measured, so a ratio can be recomputed,
and the vendor's signature, which is checked whenever a bench is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from narrows_licensing.signature import SigningKey, Typ

from narrows_metering.document import read_count, read_list, read_members, read_text
from narrows_metering.endorsement import SECTION, Signer, check_endorsements, endorse, signed_bytes
from narrows_metering.errors import StatementRefused
from narrows_metering.period import Period

FORMAT: Final = "narrows-bench/1"
ANY_CLASS: Final = "*"  # What a bench says of content that is of none of its classes.
CLIPS_MAX: Final = 10_000
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchClip:
    """One measured clip: our bytes, and the baseline's at equal quality."""

    name: str
    content_class: str
    bytes_ours: int
    bytes_baseline: int

    def __post_init__(self) -> None:
        if min(self.bytes_ours, self.bytes_baseline) < 1 or not self.content_class:
            raise ValueError(f"bench: clip {self.name[:64]!r}: bytes start at 1, and a class has a name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A signed bench."""

    bench_id: str
    baseline_id: str
    metric: str
    clips: tuple[BenchClip, ...]
    signatures: Mapping[str, Any]
    signed_by: str  # Thumbprint of the vendor's key.

    def saved_ppm(self) -> dict[str, int]:
        """What each class saves, in millionths of the delivered bytes; rounded down."""
        ours: dict[str, int] = {}
        baseline: dict[str, int] = {}
        for clip in self.clips:
            ours[clip.content_class] = ours.get(clip.content_class, 0) + clip.bytes_ours
            baseline[clip.content_class] = baseline.get(clip.content_class, 0) + clip.bytes_baseline
        return {name: (baseline[name] - ours[name]) * _MILLION // ours[name] for name in sorted(ours)}

    def to_dict(self) -> dict[str, Any]:
        """The document."""
        return {**_unsigned(self.bench_id, self.baseline_id, self.metric, self.clips), SECTION: self.signatures}

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Read `to_dict`'s result. Raises ValueError, also if the vendor's signature is missing or does not hold."""
        members = read_members(document, f"format bench_id baseline_id metric clips {SECTION}", "bench")
        if members["format"] != FORMAT:
            raise ValueError(f"bench.format: not {FORMAT}")
        try:
            signed_by = check_endorsements(members, typ=Typ.BENCH).get(Signer.VENDOR)
        except StatementRefused as refused:
            raise ValueError(f"bench: {refused}") from None
        if signed_by is None:
            raise ValueError("bench: the vendor has not signed it")
        clips = [
            read_members(clip, "name content_class bytes baseline_bytes", "bench.clips")
            for clip in read_list(members, "clips", most=CLIPS_MAX)
        ]
        return cls(
            bench_id=read_text(members, "bench_id"),
            baseline_id=read_text(members, "baseline_id"),
            metric=read_text(members, "metric"),
            clips=tuple(
                BenchClip(
                    name=read_text(clip, "name"),
                    content_class=read_text(clip, "content_class"),
                    bytes_ours=read_count(clip, "bytes"),
                    bytes_baseline=read_count(clip, "baseline_bytes"),
                )
                for clip in clips
            ),
            signatures=members[SECTION],
            signed_by=signed_by,
        )

    def digest(self) -> str:
        """SHA-256 of what was signed, lower-case hex."""
        return hashlib.sha256(signed_bytes(self.to_dict())).hexdigest()


def sign_bench(bench_id: str, *, baseline_id: str, metric: str, clips: Sequence[BenchClip], key: SigningKey) -> Bench:
    """A bench of *clips*, signed with the vendor's *key*."""
    document = {
        **_unsigned(bench_id, baseline_id, metric, clips),
        SECTION: {signer.value: None for signer in Signer},
    }
    return Bench.from_dict(endorse(document, Signer.VENDOR, key, typ=Typ.BENCH))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stipulation:
    """The bench that a contract bills by in its first months."""

    bench: Bench
    first_month: Period

    def to_dict(self) -> dict[str, Any]:
        """As it stands among the terms."""
        return {"bench": self.bench.to_dict(), "first_month": str(self.first_month)}

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Read `to_dict`'s result. Raises ValueError."""
        members = read_members(document, "bench first_month", "stipulation")
        return cls(
            bench=Bench.from_dict(members["bench"]),
            first_month=Period.from_text(read_text(members, "first_month")),
        )


def _unsigned(bench_id: str, baseline_id: str, metric: str, clips: Sequence[BenchClip]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "bench_id": bench_id,
        "baseline_id": baseline_id,
        "metric": metric,
        "clips": [
            {
                "name": clip.name,
                "content_class": clip.content_class,
                "bytes": clip.bytes_ours,
                "baseline_bytes": clip.bytes_baseline,
            }
            for clip in clips
        ],
    }
