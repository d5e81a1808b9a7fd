"""Savings as charts and headlines take them. Sums of rollups; nothing is estimated here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from narrows_server.statements.models import Statement
from narrows_server.statements.rollup import Savings


def total(found: Iterable[Savings]) -> Savings:
    """All of them together."""
    savings = Savings()
    for one in found:
        savings.delivered_bytes += one.delivered_bytes
        savings.baseline_bytes += one.baseline_bytes
        savings.saved_bytes += one.saved_bytes
        savings.worth.update(one.worth)  # `+=` would drop what is negative.
        savings.share.update(one.share)
    return savings


def months_of(months: Mapping[str, Savings]) -> list[tuple[str, int, Savings]]:
    """Month, its first second as a chart takes it, and its savings, in the order of *months*."""
    return [(month, _seconds(month), found) for month, found in months.items()]


def by_month(statements: Iterable[Statement]) -> dict[str, Savings]:
    """The savings of these statements, the latest month first."""
    months: dict[str, Savings] = {}
    for statement in statements:
        months.setdefault(statement.period, Savings()).add(statement.rollup)
    return {month: months[month] for month in sorted(months, reverse=True)}


def _seconds(month: str) -> int:
    year, number = month.split("-")
    return int(datetime(int(year), int(number), 1, tzinfo=UTC).timestamp())
