"""
From measured assets to the savings of all of them, and to the part that may be billed: the one-sided 95 % lower bound.

Four methods, from the weakest to the strongest proof: M1 stipulated, M2 sampled, M3 census, M4 holdout. All arithmetic
is exact; the one square root is rounded up and the bound down. The measurement's own noise is part of every interval:
leaving it out was simulated to cover the truth in 73 of 100 months instead of 95.

References: Cochran, Sampling Techniques (1977), chapters 5, 6 and 9A: stratified sampling, ratios, and probability in
proportion to size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor, isqrt
from typing import Final

MILLION: Final = 1_000_000
_RATIO_UNIT: Final = 10**12  # Saved per delivered byte, rounded down to this part.
STIPULATED_BILLED_PERCENT: Final = 80
STIPULATED_MONTHS_MAX: Final = 3
NOISE_PPM: Final = 20_000  # One standard deviation of a measured baseline: 2 %, from twin encodes measured again.

# Student's t, one-sided 95 %, in thousandths, by degrees of freedom; between two the fewer count. Cochran warns that
# skewed populations need more than the normal 1.645; Student's t gives small samples what they need.
_STUDENT: Final = {
    1: 6314, 2: 2920, 3: 2354, 4: 2132, 5: 2016, 6: 1944, 7: 1895, 8: 1860, 9: 1834, 10: 1813, 12: 1783, 15: 1754,
    20: 1725, 30: 1698, 40: 1684, 60: 1671, 120: 1658, 1000: 1647,
}  # fmt: skip


class Method(StrEnum):
    """How the savings of a month were determined."""

    STIPULATED = "m1_stipulated"
    SAMPLED = "m2_sampled"
    CENSUS = "m3_census"
    HOLDOUT = "m4_holdout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One asset of the month with its evidence. What could not be measured saves nothing: saved_bytes 0."""

    delivered_bytes: int
    saved_bytes: int  # Negative where we lost.

    @property
    def baseline_bytes(self) -> int:
        """What the baseline would have delivered."""
        return self.delivered_bytes + self.saved_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The savings of a month."""

    method: Method
    saved_bytes: int  # The best guess.
    lower_bytes: int  # With 95 % confidence at least this much.
    upper_bytes: int  # Together with the lower bound an interval of 90 %.
    billed_bytes: int

    def __post_init__(self) -> None:
        assert self.billed_bytes <= max(self.lower_bytes, self.saved_bytes)


def stipulated(delivered_bytes: Mapping[str, int], saved_ppm: Mapping[str, int], *, month: int) -> Estimate:
    """
    M1: what a signed bench says of each content class, in millionths of the delivered bytes; 80 % of it is billed.

    For the first three months of a contract; *month* counts from 1. A class that the bench lacks saves nothing.
    Raises ValueError afterwards: by then there must be a sample.
    """
    if not 1 <= month <= STIPULATED_MONTHS_MAX:
        raise ValueError(f"month {month}: a stipulated ratio holds for {STIPULATED_MONTHS_MAX} months")
    saved = sum(volume * saved_ppm.get(name, 0) // MILLION for name, volume in delivered_bytes.items())
    billed = saved * STIPULATED_BILLED_PERCENT // 100 if saved > 0 else saved
    return Estimate(
        method=Method.STIPULATED, saved_bytes=saved, lower_bytes=billed, upper_bytes=saved, billed_bytes=billed
    )


def census(assets: Sequence[Measured], *, noise_ppm: int = NOISE_PPM) -> Estimate:
    """M3: every asset was measured; what is uncertain is the measurement alone."""
    return _estimate(
        Method.CENSUS,
        Fraction(sum(asset.saved_bytes for asset in assets)),
        _noise_variance(assets, noise_ppm),
        freedom=max(_STUDENT),
    )


def sampled(
    certainty: Sequence[Measured], tail: Sequence[Measured], *, tail_bytes: int, noise_ppm: int = NOISE_PPM
) -> Estimate:
    """
    M2: all of the certainty stratum, and a *tail* drawn in proportion to size from assets that delivered *tail_bytes*.

    The tail's savings are its bytes times the mean of what the sample saves per byte; that a tail was drawn without
    replacement is not used to narrow the interval. Raises ValueError for a tail of one: it has no spread.
    """
    point = Fraction(sum(asset.saved_bytes for asset in certainty))
    variance = _noise_variance(certainty, noise_ppm)
    if not tail_bytes:
        return _estimate(Method.SAMPLED, point, variance, freedom=max(_STUDENT))
    drawn = len(tail)
    if drawn < 2:
        raise ValueError("tail: at least two assets must be drawn")
    ratios = [asset.saved_bytes * _RATIO_UNIT // asset.delivered_bytes for asset in tail]
    mean = Fraction(sum(ratios), drawn)
    spread = sum(((ratio - mean) ** 2 for ratio in ratios), Fraction(0)) / (drawn - 1)
    scale = Fraction(tail_bytes, _RATIO_UNIT)
    variance += scale**2 * spread / drawn
    return _estimate(Method.SAMPLED, point + scale * mean, variance, freedom=drawn - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """A group of sessions that were assigned together: a day and a title, say."""

    delivered_bytes: int
    played_ms: int


def holdout(ours: Sequence[Sessions], baseline: Sequence[Sessions]) -> Estimate:
    """
    M4: a random share of the sessions got the baseline's ladder. The only method that sees players climb the ladder.

    Saved is what *ours* would have needed for its played time at the bytes a second of *baseline*. Raises ValueError
    for fewer than two groups on either side.
    """
    if min(len(ours), len(baseline)) < 2 or not all(sum(s.played_ms for s in arm) for arm in (ours, baseline)):
        raise ValueError("holdout: at least two groups with played time on either side")
    (bytes_ours, played), (bytes_baseline, played_baseline) = (
        (sum(s.delivered_bytes for s in arm), sum(s.played_ms for s in arm)) for arm in (ours, baseline)
    )
    rate = Fraction(bytes_baseline, played_baseline)
    variance = Fraction(0)
    for arm, arm_bytes, arm_played in ((ours, bytes_ours, played), (baseline, bytes_baseline, played_baseline)):
        mean = Fraction(arm_bytes, arm_played)
        spread = sum(((s.delivered_bytes - mean * s.played_ms) ** 2 for s in arm), Fraction(0))
        # What varies between the groups would vary in the other arm too, on its scale.
        variance += Fraction(len(arm), len(arm) - 1) * spread * Fraction(played, arm_played) ** 2
    freedom = min(len(ours), len(baseline)) - 1
    return _estimate(Method.HOLDOUT, rate * played - bytes_ours, variance, freedom=freedom)


def _noise_variance(assets: Sequence[Measured], noise_ppm: int) -> Fraction:
    return Fraction(noise_ppm**2, MILLION**2) * sum(asset.baseline_bytes**2 for asset in assets)


def _estimate(method: Method, point: Fraction, variance: Fraction, *, freedom: int) -> Estimate:
    quantile = Fraction(_STUDENT[max(known for known in _STUDENT if known <= freedom)], 1000)
    margin = quantile * (isqrt(ceil(variance)) + 1 if variance else 0)
    lower = floor(point - margin)
    return Estimate(
        method=method, saved_bytes=floor(point), lower_bytes=lower, upper_bytes=ceil(point + margin), billed_bytes=lower
    )
