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
from typing import Final, Self

MILLION: Final = 1_000_000
_RATIO_UNIT: Final = 10**12  # Saved per delivered byte, rounded down to this part.
STIPULATED_BILLED_PERCENT: Final = 80
STIPULATED_MONTHS_MAX: Final = 3
HOLDOUT_PERCENT_MIN, HOLDOUT_PERCENT_MAX = 1, 5
NOISE_PPM: Final = 20_000  # One standard deviation of a measured baseline: 2 %, from twin encodes measured again.

# Student's t, one-sided 95 %, in thousandths, by degrees of freedom; between two the fewer count. Cochran warns that
# skewed populations need more than the normal 1.645; Student's t gives small samples what they need.
_STUDENT: Final = {
    1: 6314, 2: 2920, 3: 2354, 4: 2132, 5: 2016, 6: 1944, 7: 1895, 8: 1860, 9: 1834, 10: 1813, 12: 1783, 15: 1754,
    20: 1725, 30: 1698, 40: 1684, 60: 1671, 120: 1658, 1000: 1647,
}  # fmt: skip
# With these alone simulated months lie on 0.95, on either side of it by chance; this much more, and above it.
_CAUTION: Final = Fraction(103, 100)


class Method(StrEnum):
    """How the savings of a month were determined."""

    STIPULATED = "m1_stipulated"
    SAMPLED = "m2_sampled"
    CENSUS = "m3_census"
    HOLDOUT = "m4_holdout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One asset of the month with its evidence. What could not be measured saves nothing: saved_bytes 0."""

    delivered_bytes: int  # By which it was drawn.
    saved_bytes: int  # Negative where we lost.
    noise_ppm: int = 0  # One standard deviation of its baseline beyond everybody's, where only parts were measured.

    @property
    def baseline_bytes(self) -> int:
        """What the baseline would have delivered."""
        return self.delivered_bytes + self.saved_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredStratum:
    """What was drawn of assets that are alike and delivered *bytes* together."""

    bytes: int
    drawn: Sequence[Measured]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The savings of a month."""

    method: Method
    saved_bytes: int  # The best guess.
    lower_bytes: int  # With 95 % confidence at least this much.
    upper_bytes: int  # Together with the lower bound an interval of 90 %.
    billed_bytes: int

    @classmethod
    def of_nothing(cls, method: Method) -> Self:
        """Where there is nothing to compare, nothing is saved."""
        return cls(method=method, saved_bytes=0, lower_bytes=0, upper_bytes=0, billed_bytes=0)

    def __post_init__(self) -> None:
        assert self.billed_bytes <= max(self.lower_bytes, self.saved_bytes)


def stipulated(delivered_bytes: Mapping[str, int], saved_ppm: Mapping[str, int]) -> Estimate:
    """
    M1: what a signed bench says of each content class, in millionths of the delivered bytes; 80 % of it is billed.

    A class that the bench lacks saves nothing. Losses count in full.
    """
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
    certainty: Sequence[Measured], strata: Sequence[MeasuredStratum], *, noise_ppm: int = NOISE_PPM
) -> Estimate:
    """
    M2: all of the certainty stratum, and of every other stratum what was drawn in proportion to size.

    A stratum's savings are its bytes times the mean of what its sample saves per byte. Of an asset that was drawn with
    probability π, the part 1 − π of its deviation is uncertain (Hájek 1964), and its noise in full. Raises ValueError
    for a stratum of which fewer than two were drawn: it has no spread.
    """
    point = Fraction(sum(asset.saved_bytes for asset in certainty))
    variance = _noise_variance(certainty, noise_ppm)
    per_freedom = Fraction(0)
    for stratum in strata:
        drawn = len(stratum.drawn)
        if drawn < 2:
            raise ValueError("strata: at least two assets of each must be drawn")
        ratios = [asset.saved_bytes * _RATIO_UNIT // asset.delivered_bytes for asset in stratum.drawn]
        mean = Fraction(sum(ratios), drawn)
        point += stratum.bytes * mean / _RATIO_UNIT
        spread = noise = Fraction(0)
        for asset, ratio in zip(stratum.drawn, ratios, strict=True):
            drawn_bytes = drawn * asset.delivered_bytes  # π is these ⁄ the stratum's bytes.
            spread += max(0, stratum.bytes - drawn_bytes) * (ratio - mean) ** 2
            noise += Fraction(_noise_square(asset, noise_ppm), drawn_bytes * MILLION**2)
        spread *= Fraction(stratum.bytes, drawn * (drawn - 1) * _RATIO_UNIT**2)
        variance += spread + stratum.bytes * noise
        per_freedom += spread**2 / (drawn - 1)
    # Satterthwaite (1946): what a few strata tell of a few assets is known with few degrees of freedom.
    freedom = int(variance**2 / per_freedom) if per_freedom else max(_STUDENT)
    return _estimate(Method.SAMPLED, point, variance, freedom=freedom)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Sessions of one title and day: those with our ladder beside those that were assigned the baseline's."""

    bytes_ours: int
    played_ms_ours: int
    bytes_baseline: int
    played_ms_baseline: int


def holdout(groups: Sequence[Sessions]) -> Estimate:
    """
    M4: a random share of the sessions got the baseline's ladder. The only method that sees players climb the ladder.

    Saved is what our sessions would have needed for their played time at the baseline's bytes a second. Both sides of a
    group share its title, so what a title adds to both is no uncertainty: the variance is that of the difference,
    linearised (Cochran §6.4). Raises ValueError for fewer than two groups with played time on either side.
    """
    sides = [
        [(g.bytes_ours, g.played_ms_ours) for g in groups],
        [(g.bytes_baseline, g.played_ms_baseline) for g in groups],
    ]
    if any(sum(played > 0 for _, played in side) < 2 for side in sides):
        raise ValueError("holdout: at least two groups with played time on either side")
    ours, played, baseline, played_baseline = (sum(values) for side in sides for values in zip(*side, strict=True))
    # Each group's residual, over the common denominator played × played_baseline²; whole, so that it is exact and fast.
    squares = sum(
        (
            played**2 * (group.bytes_baseline * played_baseline - baseline * group.played_ms_baseline)
            - played_baseline**2 * (group.bytes_ours * played - ours * group.played_ms_ours)
        )
        ** 2
        for group in groups
    )
    variance = Fraction(len(groups) * squares, (len(groups) - 1) * (played * played_baseline**2) ** 2)
    freedom = sum(played > 0 for _, played in sides[1]) - 1
    return _estimate(Method.HOLDOUT, Fraction(baseline * played, played_baseline) - ours, variance, freedom=freedom)


def _noise_square(asset: Measured, noise_ppm: int) -> int:
    """The variance of an asset's baseline bytes, times a million squared."""
    return (noise_ppm**2 + asset.noise_ppm**2) * asset.baseline_bytes**2


def _noise_variance(assets: Sequence[Measured], noise_ppm: int) -> Fraction:
    return Fraction(sum(_noise_square(asset, noise_ppm) for asset in assets), MILLION**2)


def _estimate(method: Method, point: Fraction, variance: Fraction, *, freedom: int) -> Estimate:
    quantile = _CAUTION * Fraction(_STUDENT[max(known for known in _STUDENT if known <= freedom)], 1000)
    margin = quantile * (isqrt(ceil(variance)) + 1 if variance else 0)
    lower = floor(point - margin)
    return Estimate(
        method=method, saved_bytes=floor(point), lower_bytes=lower, upper_bytes=ceil(point + margin), billed_bytes=lower
    )
