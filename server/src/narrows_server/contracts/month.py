"""
Which terms hold in a month: a contract's versions, laid on the calendar. Pure.

Months are those of the contract's time zone. Its years are twelve calendar months each, the first being that in which
it starts, whatever the day: a contract from 31 January has its first year from January to December.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from narrows_metering.share import Exchange, SharePart
from narrows_metering.terms import Period, Terms

from narrows_server.contracts.contract_document import ContractDocument
from narrows_server.contracts.tariff_document import TariffDocument
from narrows_server.rating.terms import RatingTerms

YEAR_MONTHS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a contract and the first day on which it holds."""

    number: int  # From 1, in the order in which they were recorded.
    effective_on: date
    document: ContractDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsPart:
    """The terms from a day of the month on."""

    from_day: int
    days: int
    terms: RatingTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractMonth:
    """The days of one month on which a contract holds, and its terms on them."""

    contract_id: str
    period: Period
    parts: tuple[TermsPart, ...]
    document: ContractDocument  # The version of the last day: of its measuring, its year, its payment.
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractYear:
    """Twelve months of a contract, or fewer if it ends before."""

    label: str  # "2026-11/2027-10"
    months: tuple[str, ...]  # "2026-11" …, as far as the contract holds.
    weight: Fraction  # How many months these are, counting days.

    def ends_with(self, month: str) -> bool:
        """Whether *month* is its last."""
        return self.months[-1] == month


def version_on(versions: Sequence[Version], day: date) -> Version | None:
    """The version that holds on *day*: of those that are effective by then the latest, of these the last recorded."""
    effective = [version for version in versions if version.effective_on <= day]
    return max(effective, key=lambda version: (version.effective_on, version.number), default=None)


def month_of(contract_id: str, versions: Sequence[Version], month: Period) -> ContractMonth | None:
    """The days of the calendar month *month* on which the contract holds; None if there are none."""
    latest = max(versions, key=lambda version: version.number).document
    first, last = _active_days(latest, month.year, month.month)
    if first > last:
        return None
    period = Period(year=month.year, month=month.month, time_zone=latest.time_zone, first_day=first, last_day=last)
    parts = list[TermsPart]()
    for day in range(first, last + 1):
        holding = version_on(versions, date(month.year, month.month, day))
        assert holding is not None, "the first version is effective on the contract's first day"
        terms = holding.document.rating_terms()
        if parts and _by_month(parts[-1].terms) == _by_month(terms):
            parts[-1] = TermsPart(from_day=parts[-1].from_day, days=parts[-1].days + 1, terms=terms)
        else:
            # What comes first holds from the first of the month: nothing is delivered before the contract's first day.
            parts.append(TermsPart(from_day=day if parts else 1, days=1, terms=terms))
    final = version_on(versions, date(month.year, month.month, last))
    assert final is not None
    return ContractMonth(
        contract_id=contract_id, period=period, parts=tuple(parts), document=final.document, version=final.number
    )


def holds_in(versions: Sequence[Version], month: Period) -> bool:
    """Whether the contract holds on some day of the calendar month *month*: whether `month_of` gives any."""
    first, last = _active_days(max(versions, key=lambda version: version.number).document, month.year, month.month)
    return first <= last


def year_of(document: ContractDocument, month: Period) -> ContractYear:
    """The year of the contract that *month* is part of."""
    start = document.starts_on.year * YEAR_MONTHS + document.starts_on.month - 1
    first = start + (month.year * YEAR_MONTHS + month.month - 1 - start) // YEAR_MONTHS * YEAR_MONTHS
    months, weight = list[str](), Fraction(0)
    for count in range(first, first + YEAR_MONTHS):
        year, number = count // YEAR_MONTHS, count % YEAR_MONTHS + 1
        first_day, last_day = _active_days(document, year, number)
        if first_day <= last_day:
            months.append(f"{year:04}-{number:02}")
            weight += Fraction(last_day - first_day + 1, monthrange(year, number)[1])
    end = first + YEAR_MONTHS - 1
    label = f"{first // YEAR_MONTHS:04}-{first % YEAR_MONTHS + 1:02}/{end // YEAR_MONTHS:04}-{end % YEAR_MONTHS + 1:02}"
    return ContractYear(label=label, months=tuple(months), weight=weight)


def terms_of(
    month: ContractMonth, tariff: TariffDocument, *, exchange: Exchange | None, invoiced: Mapping[str, int]
) -> Terms:
    """What a statement of *month* is drawn up under. Raises ValueError for terms that records cannot prove."""
    document = month.document
    return Terms(
        contract_id=month.contract_id,
        share=tuple(SharePart(from_day=part.from_day, tiers=part.terms.tiers) for part in month.parts),
        exchange=exchange,
        tariff=tariff.tariff(document.tariff),
        cdn_tariffs=tariff.cdn_tariffs(document.tariff),
        invoiced_minor=invoiced,
        **document.measuring(),
    )


def _active_days(document: ContractDocument, year: int, month: int) -> tuple[int, int]:
    """The first and the last day of a month on which the contract holds; 2 and 1 if there are none."""
    days = monthrange(year, month)[1]
    first = max(date(year, month, 1), document.starts_on)
    last = date(year, month, days) if document.ends_on is None else min(date(year, month, days), document.ends_on)
    if first > last:
        return 2, 1
    return first.day, last.day


def _by_month(terms: RatingTerms) -> tuple[object, ...]:
    """What splits a month where it changes; terms of the year are those of its last day."""
    return terms.tiers, terms.floor_minor, terms.minimum_month_minor, terms.cap_month_minor
