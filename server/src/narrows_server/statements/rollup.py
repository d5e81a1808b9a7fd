"""
Rollups: what people look at of many statements at once, kept beside them and read without their documents.

Everything here follows from the documents, which alone are billed from.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Select, func, insert, select
from sqlalchemy.orm import Session

from narrows_server.statements.figures import read_figures
from narrows_server.statements.models import AssetRollup, Statement, StatementRollup
from narrows_server.statements.repository import WITHOUT_DOCUMENT
from narrows_server.statements.standing import Standing

_BYTES = ("delivered_bytes", "baseline_bytes", "saved_bytes")
_IS_CURRENT = StatementRollup.standing != Standing.SUPERSEDED.value


@dataclass(slots=True, kw_only=True)
class Savings:
    """What was delivered, what the baseline would have, and what that came to. Currencies are never added up."""

    delivered_bytes: int = 0
    baseline_bytes: int = 0
    saved_bytes: int = 0
    worth: Counter[str] = field(default_factory=Counter)  # By the tariff's currency: what was saved. Minor units.
    share: Counter[str] = field(default_factory=Counter)  # By the contract's currency: our part of it.

    def add(self, one: Any) -> None:
        """Add a rollup, or a row of sums over some."""
        self.delivered_bytes += int(one.delivered_bytes)
        self.baseline_bytes += int(one.baseline_bytes)
        self.saved_bytes += int(one.saved_bytes)
        self.worth[one.valued_in] += int(one.value_minor)
        self.share[one.currency] += int(one.share_minor)


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


def roll_up(statement: Statement) -> None:
    """Put the figures of a draft beside it, to be kept with it."""
    statement.rollup = StatementRollup(
        customer_id=statement.contract.customer_id,
        period=statement.period,
        standing=Standing.DRAFT.value,
        **asdict(read_figures(statement.document)),
    )


def roll_up_assets(session: Session, statement: Statement) -> None:
    """Keep what each asset of a stored statement saved."""
    assets = assets_of(json.loads(statement.document))
    rows = [
        {"statement_id": statement.id, "period": statement.period, "place": place, **asdict(asset)}
        for place, asset in enumerate(assets, start=1)
    ]
    if rows:
        session.execute(insert(AssetRollup), rows)


def assets_of(document: Mapping[str, Any]) -> list[Asset]:
    """The assets of a statement, the one that saved most first, those that lost last."""
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for line in document["evidence"]["lines"]:
        lines.setdefault(line["asset"], []).append(line)
    assets = [_asset(name, found) for name, found in lines.items()]
    return sorted(assets, key=lambda asset: (-asset.saved_bytes, asset.asset))


def by_month(session: Session, *, since: str = "", customer_id: str | None = None) -> dict[str, Savings]:
    """By month from *since* on, the latest first, the sum of the statements that no other supersedes."""
    return _sums(session, StatementRollup.period, since=since, customer_id=customer_id)


def by_customer(session: Session, customer_ids: Sequence[str], *, since: str = "") -> dict[str, Savings]:
    """Of each of these customers, the sum of the statements that no other supersedes."""
    return _sums(session, StatementRollup.customer_id, since=since, customer_ids=customer_ids)


def best_customers(session: Session, *, since: str, count: int) -> list[str]:
    """The ids of those who saved most, the best first."""
    query = select(StatementRollup.customer_id).where(_IS_CURRENT, StatementRollup.period >= since)
    query = query.group_by(StatementRollup.customer_id)
    saved = func.sum(StatementRollup.saved_bytes)
    return list(session.scalars(query.order_by(saved.desc(), StatementRollup.customer_id).limit(count)))


def top_assets(session: Session, *, count: int) -> list[tuple[Statement, AssetRollup]]:
    """The assets of all customers that saved most in the latest month that has any."""
    latest = session.scalar(select(func.max(AssetRollup.period)))
    query = _with_statement(AssetRollup.period == latest).where(_IS_CURRENT)
    return _rows(session, query.order_by(AssetRollup.saved_bytes.desc()).limit(count))


def top_assets_of(session: Session, statement_ids: Sequence[str], *, count: int) -> list[tuple[Statement, AssetRollup]]:
    """The assets of these statements that saved most."""
    query = _with_statement(AssetRollup.statement_id.in_(statement_ids)).where(AssetRollup.place <= count)
    return _rows(session, query.order_by(AssetRollup.saved_bytes.desc()).limit(count))


def count_standing(session: Session, standing: Standing, *, since: str) -> int:
    """How many statements from *since* on stand there."""
    query = select(func.count()).where(StatementRollup.standing == standing.value, StatementRollup.period >= since)
    return session.scalar(query) or 0


def list_standing(session: Session, standing: Standing, *, since: str, count: int) -> list[Statement]:
    """The latest *count* statements from *since* on that stand there."""
    query = select(Statement).options(WITHOUT_DOCUMENT)
    query = query.join(StatementRollup, StatementRollup.statement_id == Statement.id)
    query = query.where(StatementRollup.standing == standing.value, StatementRollup.period >= since)
    return list(session.scalars(query.order_by(StatementRollup.period.desc(), Statement.id).limit(count)))


def _sums(
    session: Session,
    key: Any,
    *,
    since: str,
    customer_id: str | None = None,
    customer_ids: Sequence[str] | None = None,
) -> dict[str, Savings]:
    money = (StatementRollup.value_minor, StatementRollup.share_minor)
    sums = [
        func.sum(column).label(column.key) for column in (*(getattr(StatementRollup, name) for name in _BYTES), *money)
    ]
    groups = (key, StatementRollup.valued_in, StatementRollup.currency)
    query = select(key.label("key"), StatementRollup.valued_in, StatementRollup.currency, *sums).where(_IS_CURRENT)
    query = query.where(StatementRollup.period >= since)
    if customer_id is not None:
        query = query.where(StatementRollup.customer_id == customer_id)
    if customer_ids is not None:
        query = query.where(StatementRollup.customer_id.in_(customer_ids))
    found: dict[str, Savings] = {}
    for row in session.execute(query.group_by(*groups).order_by(key.desc())):
        found.setdefault(row.key, Savings()).add(row)
    return found


def _with_statement(condition: Any) -> Select[AssetRollup, Statement]:
    query = select(AssetRollup, Statement).join(Statement, Statement.id == AssetRollup.statement_id)
    query = query.join(StatementRollup, StatementRollup.statement_id == Statement.id)
    return query.where(condition).options(WITHOUT_DOCUMENT)


def _rows(session: Session, query: Select[AssetRollup, Statement]) -> list[tuple[Statement, AssetRollup]]:
    return [(statement, asset) for asset, statement in session.execute(query)]


def _asset(name: str, lines: Sequence[Mapping[str, Any]]) -> Asset:
    return Asset(
        asset=name,
        renditions=len(lines),
        delivered_bytes=sum(line["delivered_bytes"] for line in lines),
        saved_bytes=sum(line["saved_bytes"] for line in lines),
    )
