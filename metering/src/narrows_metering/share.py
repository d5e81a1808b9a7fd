"""
Our share of the money saved: graduated tiers over a month, or over the part of it in which the same tiers hold.

Each cent saved gives what its own tier says, as with income tax. A contract that is amended within a month splits it:
every part has its own tiers, their limits in proportion to the part's days, and the money saved is allotted to the
parts by the bytes that were delivered in them. A month in which nothing was saved gives no share, and no debt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final

from narrows_metering.money import Money, exponent

PERCENT_DECIMALS_MAX: Final = 6
SHARE_TIERS_MAX: Final = 32
RATE_DECIMALS_MAX: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareTier:
    """Our part of the money saved above the tier before and up to *up_to_minor* in a month; None means no limit."""

    up_to_minor: int | None
    percent: Decimal  # 0 to 100.

    def __post_init__(self) -> None:
        percent = self.percent
        if not isinstance(percent, Decimal) or not percent.is_finite() or not 0 <= percent <= 100:
            raise ValueError("percent: not a decimal from 0 to 100")
        if percent != round(percent, PERCENT_DECIMALS_MAX):
            raise ValueError(f"percent: more than {PERCENT_DECIMALS_MAX} decimals")
        if self.up_to_minor is not None and self.up_to_minor < 1:
            raise ValueError("up_to_minor: not an integer from 1")


ShareTiers = tuple[ShareTier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharePart:
    """The tiers that hold from a day of the month on, until the next part."""

    from_day: int
    tiers: ShareTiers

    def __post_init__(self) -> None:
        check_tiers(self.tiers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one tier takes of the money saved, and our part of that. Minor units."""

    percent: Decimal
    saved_minor: int
    minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One rate of one day: how many units of the contract's currency one unit of *currency* is worth."""

    currency: str  # Of the tariff, in which savings are valued.
    rate: Decimal  # Above 0.
    source: str  # "ECB".
    date: str  # "2026-11-30".

    def __post_init__(self) -> None:
        exponent(self.currency)
        rate = self.rate
        if not isinstance(rate, Decimal) or not rate.is_finite() or not 0 < rate < 10**9:
            raise ValueError("rate: not a decimal above 0")
        if rate != round(rate, RATE_DECIMALS_MAX):
            raise ValueError(f"rate: more than {RATE_DECIMALS_MAX} decimals")

    def convert(self, amount: Money, currency: str) -> Money:
        """*amount* in *currency*, rounded half to even to minor units, once."""
        major = Fraction(amount.minor, 10 ** exponent(amount.currency))
        return Money.from_major(major * Fraction(self.rate), currency)


def check_tiers(tiers: ShareTiers) -> None:
    """Raise ValueError unless limits rise and the last tier, and no other, has none."""
    if not 1 <= len(tiers) <= SHARE_TIERS_MAX:
        raise ValueError(f"share: 1..{SHARE_TIERS_MAX} tiers")
    limits = [tier.up_to_minor for tier in tiers]
    if limits[-1] is not None or None in limits[:-1]:
        raise ValueError("share: the last tier, and no other, has no limit")
    if any(low >= high for low, high in pairwise(limit for limit in limits if limit is not None)):
        raise ValueError("share: limits must rise")


def graduated(tiers: ShareTiers, saved_minor: int, *, months: Fraction = Fraction(1)) -> tuple[Slice, ...]:
    """
    What each tier takes of *saved_minor*, and our share of it; nothing where nothing was saved.

    The limits are those of one month times *months*, each rounded half to even to minor units. Shares are rounded
    half to even cumulatively, so that they add up to the share of the whole, rounded once.

    >>> tiers = (ShareTier(up_to_minor=1000, percent=Decimal(25)), ShareTier(up_to_minor=None, percent=Decimal(10)))
    >>> [(one.saved_minor, one.minor) for one in graduated(tiers, 1105)]
    [(1000, 250), (105, 10)]
    """
    slices, floor, exact, rounded = list[Slice](), 0, Fraction(0), 0
    for tier in tiers:
        limit = saved_minor if tier.up_to_minor is None else min(saved_minor, round(tier.up_to_minor * months))
        if limit > floor:
            exact += (limit - floor) * Fraction(tier.percent) / 100
            slices.append(Slice(percent=tier.percent, saved_minor=limit - floor, minor=round(exact) - rounded))
            floor, rounded = limit, round(exact)
    return tuple(slices)


def allot_money(minor: int, weights: Sequence[int]) -> list[int]:
    """
    *minor* in whole parts in proportion to *weights*, which add up to it exactly; all in the first without any weight.

    >>> allot_money(100, [1, 2])
    [33, 67]
    """
    total, given, reached, parts = sum(weights), 0, 0, list[int]()
    if not total:
        return [minor, *([0] * (len(weights) - 1))]
    for weight in weights:
        reached += weight
        parts.append(minor * reached // total - given)
        given += parts[-1]
    return parts
