"""From statements to what rating asks: the parts of a month, those of earlier months as now known, and corrections."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from narrows_metering.terms import Period
from sqlalchemy.orm import Session

from narrows_server.contracts.month import ContractMonth, ContractYear, Version, month_of, year_of
from narrows_server.rating.terms import Correction, Part
from narrows_server.statements import repository

YEAR_MONTHS = 12
_REASONS = {"late_deliveries": "late deliveries", "other_evidence": "other evidence"}


def parts_of(month: ContractMonth, figures: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    """The parts of *month* with what a statement or a correction says of each: delivered_bytes and saved_minor."""
    return tuple(
        Part(
            terms=part.terms,
            from_day=part.from_day,
            days=part.days,
            days_in_month=month.period.days_in_month,
            delivered_bytes=figure["delivered_bytes"],
            saved_minor=figure["saved_minor"],
        )
        for part, figure in zip(month.parts, figures, strict=True)
    )


def corrections_of(
    contract_id: str,
    versions: Sequence[Version],
    year: ContractYear,
    document: Mapping[str, Any],
    book: Mapping[str, int],
) -> tuple[Correction, ...]:
    """The corrections of a statement's *document*; *book* is what was charged by month and year."""
    found = []
    for stated in document["corrections"]:
        month = month_of(contract_id, versions, Period.from_text(stated["month"]))
        assert month is not None, "a month that was accounted for is one of the contract's"
        is_of_this_year = stated["month"] in year.months
        found.append(
            Correction(
                period=stated["month"],
                parts=parts_of(month, stated["found"]["parts"]),
                charged_minor=book.get(stated["month"], 0),
                reason=_REASONS[stated["reason"]],
                is_of_this_year=is_of_this_year,
                headroom_minor=None if is_of_this_year else _headroom(month, book),
            )
        )
    return tuple(found)


def parts_of_months(
    session: Session,
    contract_id: str,
    versions: Sequence[Version],
    months: Sequence[str],
    document: Mapping[str, Any],
) -> tuple[Part, ...]:
    """The parts of earlier *months* as they are known now: their statements, corrected by later ones and *document*."""
    if not months:
        return ()
    figures: dict[str, Sequence[Mapping[str, Any]]] = {}
    documents = [
        json.loads(row.document) for row in repository.list_statements_since(session, contract_id, min(months))
    ]
    for stated in sorted([*documents, document], key=lambda one: str(one["period"]["month"])):
        figures[stated["period"]["month"]] = stated["share"]["parts"]
        for correction in stated["corrections"]:
            figures[correction["month"]] = correction["found"]["parts"]
    parts = list[Part]()
    for name in months:
        month = month_of(contract_id, versions, Period.from_text(name))
        if month is not None:
            nothing = [{"delivered_bytes": 0, "saved_minor": 0}] * len(month.parts)
            parts += parts_of(month, figures.get(name, nothing))
    return tuple(parts)


def charged_in(year: ContractYear, book: Mapping[str, int]) -> int:
    """What was charged for the months of a contract's year, and for the year itself."""
    return sum(minor for period, minor in book.items() if period in year.months or period == year.label)


def _headroom(month: ContractMonth, book: Mapping[str, int]) -> int | None:
    """What the cap of the year of an earlier month leaves."""
    cap = month.document.rating_terms().cap_year_minor
    if cap is None:
        return None
    year = year_of(month.document, month.period)
    return round(cap * year.weight / YEAR_MONTHS) - charged_in(year, book)
