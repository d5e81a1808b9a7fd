"""Looking around, and keeping track: every finding is opened once, and closed when it is found no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.access.caller import Caller
from narrows_server.alerts import repository, rules
from narrows_server.alerts.limits import limits_of
from narrows_server.alerts.models import Alert
from narrows_server.alerts.rules import Finding
from narrows_server.audit import Occasion
from narrows_server.database import Database
from narrows_server.errors import Invalid, NotFound
from narrows_server.identity import new_id
from narrows_server.usage import repository as usage
from narrows_server.usage.standing import SILENT_AFTER

ACTOR = "server"
_LOCK = 0x6E772D616C657274  # "nw-alert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What a look around has changed."""

    opened: Sequence[Alert]
    closed: Sequence[Alert]


def find(session: Session, *, at: datetime) -> list[Finding]:
    """Everything to look at now, contradictions first."""
    gaps = usage.list_gaps(session)
    months = repository.latest_months(session)
    excused = repository.continued_ids(session) | {gap.installation_id for gap in gaps}
    return [
        *rules.forks(repository.forked(session)),
        *rules.gaps(gaps, usage.heads(session, gaps)),
        *rules.silences(repository.silent(session, before=at - SILENT_AFTER), excused=excused, at=at),
        *rules.expiries(repository.expiring(session, at=at), renewed=repository.renewed_ids(session), at=at),
        *rules.spends(months, limits_of(session)),
        *rules.drifts(months),
    ]


def reconcile(session: Session, findings: Sequence[Finding], *, occasion: Occasion) -> Changed:
    """Open what is new, keep the details of what is open, and close what is found no more."""
    found = {(finding.cause.value, finding.subject): finding for finding in findings}
    still_open = {(alert.cause, alert.subject): alert for alert in repository.open_alerts(session)}
    opened = [_open(session, finding, occasion) for key, finding in found.items() if key not in still_open]
    closed = [alert for key, alert in still_open.items() if key not in found]
    for alert in closed:
        alert.closed_at = occasion.at
        audit.write(session, occasion, "alert.closed", alert.id, **_told(alert))
    for key, alert in still_open.items():
        if key in found:
            alert.detail = found[key].detail
    return Changed(opened=opened, closed=closed)


def check(session: Session, *, at: datetime) -> Changed:
    """Look around and keep track, now."""
    return reconcile(session, find(session, at=at), occasion=Occasion(actor=ACTOR, at=at))


def look_around(database: Database, *, at: datetime) -> bool:
    """`check`, as one of several workers; whether it was this one that did it, and not another at the same time."""
    with database.alone(_LOCK) as is_alone:
        if is_alone:
            with database.snapshot() as session:  # Which is most of the work, and keeps no writer waiting on SQLite.
                findings = find(session, at=at)
            with database.transaction() as session:
                reconcile(session, findings, occasion=Occasion(actor=ACTOR, at=at))
        return is_alone


def acknowledge(session: Session, alert: Alert, *, occasion: Occasion) -> None:
    """Somebody looks at it. Again changes nothing. Raises `Invalid` if it is over."""
    if alert.closed_at is not None:
        raise Invalid(f"alert {alert.id} is closed already")
    if alert.acknowledged_at is None:
        alert.acknowledged_at, alert.acknowledged_by = occasion.at, occasion.person
        audit.write(session, occasion, "alert.acknowledged", alert.id, **_told(alert))


def require_alert(session: Session, alert_id: str, caller: Caller | None = None) -> Alert:
    """The alert with this id, if it exists for *caller*. Raises `NotFound`."""
    alert = repository.get_alert(session, alert_id)
    if alert is None or (caller is not None and not caller.owns(alert.customer_id)):
        raise NotFound(f"there is no alert {alert_id}")
    return alert


def _open(session: Session, finding: Finding, occasion: Occasion) -> Alert:
    alert = Alert(
        id=new_id("alr"),
        cause=finding.cause.value,
        subject=finding.subject,
        customer_id=finding.customer_id,
        detail=finding.detail,
        since=finding.since,
        opened_at=occasion.at,
        acknowledged_at=None,
        acknowledged_by=None,
        closed_at=None,
    )
    session.add(alert)
    session.flush()
    audit.write(session, occasion, "alert.opened", alert.id, **_told(alert))
    return alert


def _told(alert: Alert) -> dict[str, str]:
    return {
        "cause": alert.cause,
        "about": alert.subject,
        "customer": alert.customer_id,
        "detail": alert.detail,
    }
