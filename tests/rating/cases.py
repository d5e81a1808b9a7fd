"""Random contracts and years: every rule on, off and at its edges."""

from __future__ import annotations

import calendar
import random
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from narrows_metering.share import ShareTier, ShareTiers
from narrows_server.rating.terms import Correction, Part, RatingTerms, Year

from .oracle import limited

CURRENCIES = ("EUR", "JPY", "KWD")
ROUND = (0, 1, 50, 100, 10_000, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One random question."""

    parts: tuple[Part, ...]
    year: Year
    corrections: tuple[Correction, ...]
    already_minor: int
    credit_minor: int
    period: str
    currency: str


def a_case(dice: random.Random) -> Case:
    """A month somewhere in a contract's year."""
    start, months = dice.randrange(12 * 2000, 12 * 2060), dice.choice((1, 2, 3, 12, 12))
    position = dice.randrange(months)
    versions = [some_terms(dice) for _ in range(dice.choice((1, 1, 1, 2, 3)))]
    earlier = [a_month(dice, start + count, versions) for count in range(position)]
    parts = a_month(dice, start + position, versions)
    charged = sum(limited(part) for month in earlier for part in month) + dice.choice(
        (0, 0, dice.randint(-5_000, 5_000))
    )
    return Case(
        parts=parts,
        year=Year(
            label=f"{name(start)}/{name(start + 11)}",
            months=dice.choice((Fraction(months), Fraction(months) - Fraction(dice.randrange(31), 31))),
            is_over=dice.random() < 0.5,
            charged_minor=charged,
            parts=tuple(part for month in earlier for part in month),
        ),
        corrections=tuple(a_correction(dice, start - count, versions) for count in range(1, dice.choice((1, 1, 2, 4)))),
        already_minor=dice.choice((0, 0, 0, dice.randint(-(10**4), 10**5))),
        credit_minor=dice.choice((0, 0, 1, dice.randrange(10**6))),
        period=name(start + position),
        currency=dice.choice(CURRENCIES),
    )


def a_month(dice: random.Random, count: int, versions: list[RatingTerms]) -> tuple[Part, ...]:
    """A month of one to three parts, or some last days of one."""
    days = calendar.monthrange(count // 12, count % 12 + 1)[1]
    first = dice.choice((1, 1, 1, dice.randint(1, days)))
    cuts = sorted({first, *(dice.randint(first, days) for _ in range(dice.choice((0, 0, 1, 2))))})
    return tuple(
        Part(
            terms=dice.choice(versions),
            from_day=day,
            days=following - day,
            days_in_month=days,
            delivered_bytes=dice.choice((0, dice.randrange(10**15))),
            saved_minor=saved(dice),
        )
        for day, following in zip(cuts, [*cuts[1:], days + 1], strict=True)
    )


def a_correction(dice: random.Random, count: int, versions: list[RatingTerms]) -> Correction:
    parts = a_month(dice, count, versions)
    is_of_this_year = dice.random() < 0.5
    return Correction(
        period=name(count),
        parts=parts,
        charged_minor=dice.choice((0, sum(limited(part) for part in parts), dice.randrange(10**6))),
        reason="late deliveries",
        is_of_this_year=is_of_this_year,
        headroom_minor=None if is_of_this_year else dice.choice((None, -5, 0, 1, dice.randrange(10**6))),
    )


def some_terms(dice: random.Random) -> RatingTerms:
    cap = dice.choice((None, None, dice.choice(ROUND), dice.randrange(10**6)))
    year_cap = dice.choice((None, None, dice.choice(ROUND), dice.randrange(10**7)))
    return RatingTerms(
        tiers=some_tiers(dice),
        floor_minor=amount(dice),
        minimum_month_minor=amount(dice),
        minimum_year_minor=amount(dice) * dice.choice((1, 12)),
        cap_month_minor=cap,
        cap_year_minor=year_cap,
        is_trued_up=dice.random() < 0.5,
    )


def some_tiers(dice: random.Random) -> ShareTiers:
    limits = sorted({dice.choice((dice.choice(ROUND[1:]), dice.randint(1, 10**7))) for _ in range(dice.randrange(4))})
    percents = [Decimal(dice.randrange(100_000_001)).scaleb(-6).normalize() for _ in range(len(limits) + 1)]
    return tuple(
        ShareTier(up_to_minor=limit, percent=dice.choice((percent, Decimal(25))))
        for limit, percent in zip([*limits, None], percents, strict=True)
    )


def amount(dice: random.Random) -> int:
    return dice.choice((0, 0, dice.choice(ROUND), dice.randrange(10**5)))


def saved(dice: random.Random) -> int:
    """Around nothing, around the limits of tiers, and large; on either side."""
    near = dice.choice(ROUND) + dice.randint(-2, 2)
    return dice.choice((0, near, -near, dice.randrange(10**8), -dice.randrange(10**6)))


def name(count: int) -> str:
    return f"{count // 12:04}-{count % 12 + 1:02}"
