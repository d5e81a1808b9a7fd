"""
Rating: what a month comes to, line by line.

Pure and exact: minor units and fractions in, lines out. There are four places where a fraction becomes whole, each
half to even: the limits of tiers and the share of each (`narrows_metering.share`), what a part of a month has of a
floor, minimum or cap (`terms.Part`), and what a part of a year has of a yearly minimum or cap (`_of_year`). Nothing is
rounded twice.

The order is that of the lines: share, floor, minimum and cap of each part of the month; corrections of earlier months;
the true-up, minimum and cap of the year; prepaid credit. The same function serves preview and invoice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from narrows_metering.money import Money
from narrows_metering.share import graduated

from narrows_server import wording
from narrows_server.rating.lines import Kind, Line
from narrows_server.rating.terms import Correction, Part, Year

YEAR_MONTHS = 12


def rate(
    parts: Sequence[Part],
    *,
    period: str,
    currency: str,
    year: Year,
    corrections: Sequence[Correction] = (),
    already_minor: int = 0,
    credit_minor: int = 0,
) -> tuple[Line, ...]:
    """
    The lines of a month, before tax. *parts* are its days in order, at least one; *already_minor* is what corrections
    charged for it before, where its statement was drawn up again.

    Their sum is negative where corrections or the true-up give back more than the month comes to; then no credit is
    drawn, and a credit note is due instead of an invoice.
    """
    terms = parts[-1].terms
    lines = rate_month(parts, period=period, currency=currency)
    in_year = _total(lines)  # What the month adds to its year: what it was charged before is part of that.
    if already_minor:
        lines.append(_line(Kind.CORRECTION, period, "Charged by earlier corrections", -already_minor, currency))
    for correction in sorted(corrections, key=lambda one: one.period):
        line = _correct(correction, currency)
        lines.append(line)
        in_year += line.amount.minor if correction.is_of_this_year else 0
    if year.is_over and terms.is_trued_up:
        true_up = _due_of_year([*year.parts, *parts]) - year.charged_minor - in_year
        if true_up:
            text = f"True-up: the savings of {year.label} as a whole"
            lines.append(_line(Kind.TRUE_UP, year.label, text, true_up, currency))
            in_year += true_up
    if year.is_over:
        minimum = _of_year(terms.minimum_year_minor, year)
        missing = minimum - year.charged_minor - in_year
        if missing > 0:
            text = f"To the minimum of {_money(minimum, currency)} for {year.label}"
            lines.append(_line(Kind.MINIMUM, year.label, text, missing, currency))
            in_year += missing
    if terms.cap_year_minor is not None:
        cap = _of_year(terms.cap_year_minor, year)
        # What was charged under an earlier, higher cap is not given back.
        excess = min(year.charged_minor + in_year - cap, in_year)
        if excess > 0:
            text = f"To the cap of {_money(cap, currency)} for {year.label}"
            lines.append(_line(Kind.CAP, year.label, text, -excess, currency))
    drawn = min(credit_minor, _total(lines))
    if drawn > 0:
        lines.append(_line(Kind.CREDIT, period, "Paid from prepaid credit", -drawn, currency))
    return tuple(lines)


def rate_month(parts: Iterable[Part], *, period: str, currency: str) -> list[Line]:
    """The lines of a month by itself: share, floor, minimum and cap of each of its parts."""
    lines = list[Line]()
    several = [*parts]
    for part in several:
        lines += _rate_part(part, period, currency, _days(part) if len(several) > 1 else "")
    if not any(line.kind is Kind.SHARE for line in lines):
        saved = sum(part.saved_minor for part in several)
        lines.insert(0, _line(Kind.SHARE, period, f"No share of {_money(saved, currency)} saved", 0, currency))
    return lines


def month_total(parts: Iterable[Part]) -> int:
    """What a month by itself comes to, in minor units."""
    return sum(_part_total(part) for part in parts)


def _rate_part(part: Part, period: str, currency: str, days: str) -> list[Line]:
    lines = [
        _line(
            Kind.SHARE,
            period,
            f"{one.percent.normalize():f} % of {_money(one.saved_minor, currency)} saved{days}",
            one.minor,
            currency,
        )
        for one in graduated(part.terms.tiers, part.saved_minor, months=part.months)
    ]
    total = _total(lines)
    for kind, least in ((Kind.FLOOR, part.floor_minor), (Kind.MINIMUM, part.minimum_minor)):
        if total < least:
            text = f"To the {kind.value} of {_money(least, currency)}{days}"
            lines.append(_line(kind, period, text, least - total, currency))
            total = least
    cap = part.cap_minor
    if cap is not None and total > cap:
        lines.append(_line(Kind.CAP, period, f"To the cap of {_money(cap, currency)}{days}", cap - total, currency))
    return lines


def _part_total(part: Part) -> int:
    share = sum(one.minor for one in graduated(part.terms.tiers, part.saved_minor, months=part.months))
    total = max(share, part.floor_minor, part.minimum_minor)
    return total if part.cap_minor is None else min(total, part.cap_minor)


def _correct(correction: Correction, currency: str) -> Line:
    """The month rated again, less what it came to before."""
    change = month_total(correction.parts) - correction.charged_minor
    if correction.headroom_minor is not None:
        change = min(change, max(0, correction.headroom_minor))
    text = f"Correction of {wording.month(correction.period)}: {correction.reason}"
    return _line(Kind.CORRECTION, correction.period, text, change, currency)


def _due_of_year(parts: Sequence[Part]) -> int:
    """
    What a year comes to as a whole, by its savings: losses of some months count against the savings of others.

    Tiers, floors, minimums and caps are those of its months together. Savings under different tiers are not netted.
    """
    share = 0
    for tiers in dict.fromkeys(part.terms.tiers for part in parts):
        under = [part for part in parts if part.terms.tiers == tiers]
        saved, months = sum(part.saved_minor for part in under), sum((part.months for part in under), Fraction(0))
        share += sum(one.minor for one in graduated(tiers, saved, months=months))
    due = max(share, sum(max(part.floor_minor, part.minimum_minor) for part in parts))
    caps = [part.cap_minor for part in parts if part.cap_minor is not None]
    return min(due, sum(caps)) if len(caps) == len(parts) else due


def _of_year(amount_minor: int, year: Year) -> int:
    """A yearly amount for a year of fewer months, rounded half to even."""
    return round(amount_minor * year.months / YEAR_MONTHS)


def _line(kind: Kind, period: str, text: str, minor: int, currency: str) -> Line:
    return Line(kind=kind, period=period, text=text, amount=Money(minor=minor, currency=currency))


def _total(lines: Iterable[Line]) -> int:
    return sum(line.amount.minor for line in lines)


def _money(minor: int, currency: str) -> str:
    """`1,234.56 EUR`, as on the rest of an invoice."""
    return f"{wording.money(minor, currency).removeprefix(currency).strip()} {currency}"


def _days(part: Part) -> str:
    return f", days {part.from_day} to {part.from_day + part.days - 1}"
