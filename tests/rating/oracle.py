"""
A second, naive rating: plain fractions, one step after the other, nothing shared with the product but its questions.

It gives the amounts of a month's lines by kind and period; their texts are for people.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from narrows_server.rating.terms import Part

if TYPE_CHECKING:
    from .cases import Case


def naive(case: Case) -> dict[tuple[str, str], int]:
    """By kind and period, what the lines come to; nothing where they come to nothing."""
    book: dict[tuple[str, str], int] = {}

    def put(kind: str, period: str, minor: int) -> int:
        book[kind, period] = book.get((kind, period), 0) + minor
        return minor

    terms, year = case.parts[-1].terms, case.year
    mine = 0
    for part in case.parts:
        share, floor, minimum, cap = amounts(part)
        mine += put("share", case.period, share)
        mine += put("floor", case.period, max(0, floor - share))
        mine += put("minimum", case.period, max(0, minimum - max(share, floor)))
        if cap is not None:
            mine += put("cap", case.period, min(0, cap - max(share, floor, minimum)))
    total = mine + put("correction", case.period, -case.already_minor)
    for late in case.corrections:
        now = sum(limited(part) for part in late.parts)
        change = now - late.charged_minor
        if late.headroom_minor is not None and change > late.headroom_minor:
            change = late.headroom_minor if late.headroom_minor > 0 else min(change, 0)
        put("correction", late.period, change)
        total += change
        mine += change if late.is_of_this_year else 0
    if year.is_over and terms.is_trued_up:
        all_parts = [*year.parts, *case.parts]
        shares, seen = 0, []
        for part in all_parts:
            if part.terms.tiers not in seen:
                seen.append(part.terms.tiers)
                alike = [one for one in all_parts if one.terms.tiers == part.terms.tiers]
                months = sum(Fraction(one.days) / one.days_in_month for one in alike)
                shares += half_even(tiered(part, sum(one.saved_minor for one in alike), Fraction(months)))
        owed = max(shares, sum(max(amounts(one)[1], amounts(one)[2]) for one in all_parts))
        caps = [amounts(one)[3] for one in all_parts]
        if None not in caps:
            owed = min(owed, sum(cap for cap in caps if cap is not None))
        total += owed - year.charged_minor - mine
        mine += put("true_up", year.label, owed - year.charged_minor - mine)
    if year.is_over:
        least = half_even(Fraction(terms.minimum_year_minor) * year.months / 12)
        if least > year.charged_minor + mine:
            total += least - year.charged_minor - mine
            mine += put("minimum", year.label, least - year.charged_minor - mine)
    if terms.cap_year_minor is not None:
        most = half_even(Fraction(terms.cap_year_minor) * year.months / 12)
        over = min(year.charged_minor + mine - most, mine)
        total += put("cap", year.label, -over if over > 0 else 0)
    put("prepaid_credit", case.period, -min(case.credit_minor, total) if total > 0 else 0)
    return {key: minor for key, minor in book.items() if minor}


def amounts(part: Part) -> tuple[int, int, int, int | None]:
    """Share, floor, minimum and cap of some days."""
    months, terms = Fraction(part.days) / part.days_in_month, part.terms
    floor = half_even(terms.floor_minor * months) if part.delivered_bytes > 0 else 0
    cap = None if terms.cap_month_minor is None else half_even(terms.cap_month_minor * months)
    share = half_even(tiered(part, part.saved_minor, months))
    return share, floor, half_even(terms.minimum_month_minor * months), cap


def limited(part: Part) -> int:
    share, floor, minimum, cap = amounts(part)
    least = sorted([share, floor, minimum])[2]
    return least if cap is None or cap > least else cap


def tiered(part: Part, saved: int, months: Fraction) -> Fraction:
    share, left, below = Fraction(0), max(saved, 0), 0
    for tier in part.terms.tiers:
        width = left if tier.up_to_minor is None else half_even(tier.up_to_minor * months) - below
        taken = max(0, min(left, width))
        share, left, below = share + taken * Fraction(tier.percent) / 100, left - taken, below + max(0, width)
    return share


def half_even(value: Fraction | int) -> int:
    value = Fraction(value)
    whole, rest = divmod(value.numerator, value.denominator)
    twice = 2 * rest
    return whole + (twice > value.denominator or (twice == value.denominator and whole % 2 == 1))
