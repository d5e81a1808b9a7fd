"""
Which parts of a long asset are measured: segments, drawn by the same seed as the assets are.

A segment is the shortest run of whole groups of pictures that is as long as the baseline's own, so that the baseline
pays for no more key frames than it would have. Evidence lists what each drawn segment took on either side. The
baseline's bytes of the whole are extrapolated by the ratio of the sums, and how far the segments differ among
themselves widens the interval (Cochran, Sampling Techniques, 1977, §6.4: the ratio estimator).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

from narrows_metering.chain import merkle_root
from narrows_metering.sampling import sample_seed, shuffled

_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One measured segment. *bytes_baseline* is at the measured point whose quality is nearest to ours."""

    index: int
    bytes_ours: int
    bytes_baseline: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSegments:
    """The segments that evidence rests on."""

    period: str  # The month of the draw, as in the seed.
    seed: str  # Hex.
    count: int  # How many the asset has.
    parts: tuple[Part, ...]


def draw_segments(seed: bytes, rendition: str, *, count: int, wanted: int) -> tuple[int, ...]:
    """
    The numbers of *wanted* of *count* segments, each as likely as any other; all of them if there are no more.

    >>> draw_segments(b"seed", "film", count=3, wanted=5)
    (0, 1, 2)
    """
    if count <= wanted:
        return tuple(range(count))
    order = shuffled((f"{rendition}/{index}" for index in range(count)), seed)
    return tuple(sorted(int(name.rpartition("/")[2]) for name in order[:wanted]))


def segment_seed(*, contract_hash: str, period: str, delivery_head: str) -> bytes:
    """The seed where one ledger alone is known: its root is its last delivery of the month."""
    return sample_seed(contract_hash=contract_hash, period=period, ledger_root=merkle_root([delivery_head]))


def extrapolate(bytes_ours: int, bytes_baseline: int, *, whole_ours: int) -> int:
    """
    What the baseline needs for all of an asset, from what it needs for the measured part; rounded down.

    >>> extrapolate(100, 150, whole_ours=1_000)
    1500
    """
    return whole_ours * bytes_baseline // bytes_ours


def ratio_noise_ppm(parts: Sequence[Part], *, count: int) -> int:
    """
    One standard error of the ratio baseline ⁄ ours over the drawn *parts* of *count* segments, in millionths of the
    ratio; rounded up. 0 when every segment was measured.
    """
    drawn = len(parts)
    if drawn >= count:
        return 0
    ours, baseline = (sum(part.bytes_ours for part in parts), sum(part.bytes_baseline for part in parts))
    if drawn < 2 or not baseline:
        return _MILLION  # One segment says nothing of the others.
    squares = sum((part.bytes_baseline * ours - baseline * part.bytes_ours) ** 2 for part in parts)
    # (1 − m ⁄ M) · m ⁄ (m − 1) · Σ (b − R·o)² ⁄ (Σ b)², with R = Σ b ⁄ Σ o.
    above = (count - drawn) * drawn * squares * _MILLION**2
    below = count * (drawn - 1) * (baseline * ours) ** 2
    return isqrt(above // below) + 1
