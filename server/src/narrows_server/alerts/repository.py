"""Every query about alerts, and about the rows that the rules look at."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, aliased

from narrows_server.alerts.models import Alert
from narrows_server.alerts.rules import EXPIRES_WITHIN, Cause, Forked, Month
from narrows_server.licenses.models import IssuedLicense
from narrows_server.paging import Paged, Paging, read_page
from narrows_server.statements.models import Statement, StatementRollup
from narrows_server.usage.models import Fork, Installation

SILENT_MAX = 1_000  # More than people look at; the installations that have been silent longest.
MONTHS_MAX = 4
# What touches the books most is the greatest.
_WEIGHT = case({cause.value: -place for place, cause in enumerate(Cause)}, value=Alert.cause)
_FIGURES = ("customer_id", "period", "currency", "share_minor", "saved_bytes", "baseline_bytes")


def open_alerts(session: Session) -> list[Alert]:
    """Every alert that is not closed."""
    return list(session.scalars(select(Alert).where(Alert.closed_at.is_(None))))


def get_alert(session: Session, alert_id: str) -> Alert | None:
    return session.get(Alert, alert_id)


def alert_page(session: Session, at: Paging, *, customer_id: str | None = None, is_open: bool = False) -> Paged[Alert]:
    """
    A page of alerts: of all customers or of one, all or those that are not closed.

    Newest first; of those that one look around has opened the worst.
    """
    query = select(Alert)
    if customer_id is not None:
        query = query.where(Alert.customer_id == customer_id)
    if is_open:
        query = query.where(Alert.closed_at.is_(None))
    return read_page(session, query, by=(Alert.opened_at, _WEIGHT, Alert.subject, Alert.id), at=at)


def worst_alerts(session: Session, *, count: int, customer_id: str | None = None) -> list[Alert]:
    """Of those that are not closed what touches the books most; of the same cause the newest."""
    query = select(Alert).where(Alert.closed_at.is_(None))
    if customer_id is not None:
        query = query.where(Alert.customer_id == customer_id)
    ordered = query.order_by(_WEIGHT.desc(), Alert.opened_at.desc(), Alert.subject.desc())
    return list(session.scalars(ordered.limit(count)))


def forked(session: Session) -> list[Forked]:
    """Every installation that contradicted itself."""
    later = aliased(Installation)
    counts = select(
        Fork.installation_id, func.count().label("fork_count"), func.max(Fork.seen_at).label("forked_at")
    ).group_by(Fork.installation_id)
    counted = {row.installation_id: row for row in session.execute(counts)}
    found = session.scalars(select(Installation).where(Installation.id.in_(counted)).order_by(Installation.id)).all()
    continued = select(later.previous_id, later.id, later.customer_id).where(later.previous_id.in_(counted))
    successors = {(row.previous_id, row.customer_id): row.id for row in session.execute(continued)}
    return [
        Forked(
            installation=installation,
            fork_count=counted[installation.id].fork_count,
            forked_at=counted[installation.id].forked_at,
            continued_as=successors.get((installation.id, installation.customer_id)),
        )
        for installation in found
    ]


def silent(session: Session, *, before: datetime) -> list[Installation]:
    """Installations that reported last before then, the longest silence first."""
    query = select(Installation).where(Installation.reported_at <= before)
    return list(session.scalars(query.order_by(Installation.reported_at, Installation.id).limit(SILENT_MAX)))


def continued_ids(session: Session) -> set[str]:
    """The installations that others of the same customer continue."""
    origin = aliased(Installation)
    query = select(origin.id).join(Installation, Installation.previous_id == origin.id)
    return set(session.scalars(query.where(Installation.customer_id == origin.customer_id)))


def expiring(session: Session, *, at: datetime) -> list[IssuedLicense]:
    """Licenses that end soon, or have; whether they are in their grace is the rule's to say."""
    query = select(IssuedLicense).where(
        IssuedLicense.revoked_at.is_(None),
        IssuedLicense.expires_at <= at + EXPIRES_WITHIN,
        IssuedLicense.expires_at > at - 12 * EXPIRES_WITHIN,
    )
    return list(session.scalars(query.order_by(IssuedLicense.expires_at, IssuedLicense.id)))


def renewed_ids(session: Session) -> set[str]:
    """The licenses that others take the place of."""
    query = select(IssuedLicense.replaces).where(IssuedLicense.replaces.is_not(None))
    return {license_id for license_id in session.scalars(query) if license_id is not None}


def latest_months(session: Session) -> list[Month]:
    """The last few statements of every contract."""
    place = func.row_number().over(partition_by=Statement.contract_id, order_by=Statement.period.desc())
    ranked = select(Statement.id, Statement.contract_id, Statement.drawn_up_at, place.label("place")).subquery()
    # Columns and not rows of the models: some thousand of them, every minute.
    figures = [getattr(StatementRollup, name) for name in _FIGURES]
    query = select(ranked.c.contract_id, ranked.c.drawn_up_at, *figures)
    query = query.join(ranked, ranked.c.id == StatementRollup.statement_id).where(ranked.c.place <= MONTHS_MAX)
    return [Month(**row) for row in session.execute(query).mappings()]
