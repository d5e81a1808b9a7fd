"""
Savings as people look at them: by month, and by asset. Sums of what statements say; nothing is estimated here.

Amounts of different currencies are never added up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from narrows_server.statements.figures import figures_of
from narrows_server.statements.models import Statement


@dataclass(slots=True, kw_only=True)
class Savings:
    """What was delivered, what the baseline would have, and what that came to."""

    delivered_bytes: int = 0
    baseline_bytes: int = 0
    saved_bytes: int = 0
    worth: Counter[str] = field(default_factory=Counter)  # By the tariff's currency: what was saved. Minor units.
    share: Counter[str] = field(default_factory=Counter)  # By the contract's currency: our part of it.

    def add(self, statement: Statement) -> None:
        """Add the figures of one statement."""
        figures = figures_of(statement)
        self.delivered_bytes += figures.delivered_bytes
        self.baseline_bytes += figures.baseline_bytes
        self.saved_bytes += figures.saved_bytes
        self.worth[figures.valued_in] += figures.value_minor
        self.share[figures.currency] += figures.share_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """What one asset saved in a statement; its bytes with evidence."""

    asset: str
    renditions: int
    delivered_bytes: int
    saved_bytes: int

    @property
    def baseline_bytes(self) -> int:
        """What the baseline would have delivered."""
        return self.delivered_bytes + self.saved_bytes


def total(statements: Iterable[Statement]) -> Savings:
    """All of them together."""
    savings = Savings()
    for statement in statements:
        savings.add(statement)
    return savings


def by_month(statements: Iterable[Statement]) -> list[tuple[str, int, Savings]]:
    """Month, its first second as a chart takes it, and its savings; the latest first."""
    months: dict[str, Savings] = {}
    for statement in statements:
        months.setdefault(statement.period, Savings()).add(statement)
    return [(month, _seconds(month), months[month]) for month in sorted(months, reverse=True)]


def assets_of(document: Mapping[str, Any]) -> list[Asset]:
    """The assets of a statement, the one that saved most first, those that lost last."""
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for line in document["evidence"]["lines"]:
        lines.setdefault(line["asset"], []).append(line)
    assets = [_asset(name, found) for name, found in lines.items()]
    return sorted(assets, key=lambda asset: (-asset.saved_bytes, asset.asset))


def _asset(name: str, lines: Sequence[Mapping[str, Any]]) -> Asset:
    return Asset(
        asset=name,
        renditions=len(lines),
        delivered_bytes=sum(line["delivered_bytes"] for line in lines),
        saved_bytes=sum(line["saved_bytes"] for line in lines),
    )


def _seconds(month: str) -> int:
    year, number = month.split("-")
    return int(datetime(int(year), int(number), 1, tzinfo=UTC).timestamp())
