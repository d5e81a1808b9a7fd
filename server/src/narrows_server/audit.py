"""
Who did what, when: one row per change, written in the transaction of the change itself.

The table is append-only (triggers refuse anything else), and its rows are links of a chain: each has the hash of the
one before, so that a row that was changed, removed or put in by somebody with the database in their hands is noticed.
It is a trail for people and decides nothing.

What people and their programs do is linked in the same transaction. What machines report is linked by `link_waiting`
within seconds: linking takes a lock, and thousands of installations are not to wait for each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import rfc8785
from sqlalchemy import ForeignKey, Integer, Select, String, Text, delete, event, func, inspect, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from narrows_server.database import Base, Database, UtcDateTime
from narrows_server.paging import Paged, Paging, read_page
from narrows_server.webhooks import outbox

GENESIS = "0" * 64
VERIFY_ROWS = 1_000
LINK_ROWS_MAX = 5_000
_UNLINKED = "narrows_audit_unlinked"
_CHAIN_LOCK = 0x6E772D6175646974  # "nw-audit": the advisory lock of PostgreSQL under which links are added.


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Who acts and when: an argument of everything that changes something."""

    actor: str  # "admin:<account>" at a terminal, "person:<address>", "key:<id>", "installation:<id>" for a report.
    at: datetime  # Aware, UTC.
    human: str | None = None  # The person behind a program; None if the actor is one.

    @property
    def person(self) -> str:
        """The person who answers for it."""
        return self.human or self.actor

    @property
    def is_machine(self) -> bool:
        """Whether a customer's machine acts, and nobody at the vendor's."""
        return self.actor.startswith("installation:")


class AuditRow(Base):
    """One change."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(100))
    subject: Mapped[str] = mapped_column(String(200), index=True)
    detail: Mapped[str] = mapped_column(Text)


class AuditLink(Base):
    """The place of a row in the chain: its hash is that of the link before, and of the row itself."""

    __tablename__ = "audit_link"

    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    audit_id: Mapped[int] = mapped_column(ForeignKey("audit.id"), unique=True)
    hash: Mapped[str] = mapped_column(String(64))


class AuditWaiting(Base):
    """A row that a machine caused and that is not linked yet."""

    __tablename__ = "audit_waiting"

    audit_id: Mapped[int] = mapped_column(ForeignKey("audit.id"), primary_key=True, autoincrement=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """What a walk along the chain found. It is whole if there is no *fault*."""

    length: int
    head: str
    waiting: int  # Rows that are not linked yet.
    fault: str | None = None


def write(session: Session, occasion: Occasion, action: str, subject: str, **detail: str | int | None) -> None:
    """Add the audit row of a change to *session*, the one that makes the change."""
    document = json.dumps(detail, sort_keys=True, ensure_ascii=False)
    row = AuditRow(at=occasion.at, actor=occasion.actor, action=action, subject=subject, detail=document)
    session.add(row)
    session.info.setdefault(_UNLINKED, []).append((row, occasion.is_machine))
    outbox.put(session, action, subject, detail, at=occasion.at)


def trail(session: Session, *, limit: int = 100) -> list[AuditRow]:
    """The latest changes, newest first."""
    return list(session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)))


def read_trail(session: Session, at: Paging, *, subject: str | None = None) -> Paged[tuple[AuditRow, str | None]]:
    """A page of the changes, newest first, each with its hash in the chain; of one *subject* if it is given."""
    query = select(AuditRow)
    if subject is not None:
        query = query.where(AuditRow.subject == subject)
    page = read_page(session, query, by=(AuditRow.id,), at=at)
    hashes = _hashes(session, [row.id for row in page.rows])
    return Paged(rows=[(row, hashes.get(row.id)) for row in page.rows], next_cursor=page.next_cursor)


def walk(session: Session) -> Iterator[tuple[AuditRow, AuditLink | None]]:
    """Every row in the order of the chain, then those that wait; a page at a time."""
    after = 0
    while True:
        query = select(AuditRow, AuditLink).join(AuditLink, AuditLink.audit_id == AuditRow.id)
        query = query.where(AuditLink.position > after).order_by(AuditLink.position).limit(VERIFY_ROWS)
        rows = session.execute(query).all()
        for row, link in rows:
            yield row, link
            after = link.position
        if len(rows) < VERIFY_ROWS:
            break
    for row in session.scalars(_unlinked()):
        yield row, None


def verify_chain(session: Session, *, known_head: str | None = None) -> ChainReport:
    """
    Walk the whole chain. *known_head* is a hash that was noted before: it must still be in it.

    A chain cannot show that its newest rows were cut off, which is what a head noted elsewhere is for.
    """
    position, head, seen = 0, GENESIS, known_head in (None, GENESIS)

    def report(fault: str | None) -> ChainReport:
        return ChainReport(length=position, head=head, waiting=waiting, fault=fault)

    waiting = _count(session, AuditWaiting)
    for row, link in walk(session):
        if link is None:
            continue
        if link.position != position + 1:
            return report(f"link {position + 1} is missing")
        if link.hash != _hash(head, row):
            return report(f"row {row.id} at link {link.position} is not the row that was written")
        position, head = link.position, link.hash
        seen = seen or head == known_head
    if position != _count(session, AuditLink):
        return report("a row of the chain was removed")
    if position + waiting != _count(session, AuditRow):
        return report("there are rows that were never linked, or rows were removed")
    return report(None if seen else f"the head {known_head} is not in the chain: rows were cut off or replaced")


def link_all(database: Database) -> int:
    """Link what machines caused since, and return how many rows that were."""
    with database.snapshot() as session:
        # A look first: on SQLite a transaction that may write would make every other one wait for it.
        if session.scalars(select(AuditWaiting.audit_id).limit(1)).first() is None:
            return 0
    with database.transaction() as session:
        return link_waiting(session)


def link_waiting(session: Session) -> int:
    """The same within a transaction; some of it, if there is very much."""
    _lock_chain(session)
    waiting = list(session.scalars(select(AuditWaiting.audit_id).order_by(AuditWaiting.audit_id).limit(LINK_ROWS_MAX)))
    if waiting:
        rows = session.scalars(select(AuditRow).where(AuditRow.id.in_(waiting)).order_by(AuditRow.id))
        _append(session, list(rows))
        session.execute(delete(AuditWaiting).where(AuditWaiting.audit_id.in_(waiting)))
    return len(waiting)


@event.listens_for(Session, "before_commit")
def _link(session: Session) -> None:
    """The last thing that a transaction does, so that the lock on the chain is held for the shortest time."""
    if session.in_nested_transaction() or not session.info.get(_UNLINKED):
        return
    written = session.info.pop(_UNLINKED)
    session.flush()
    # A savepoint that was rolled back took its rows with it.
    kept = [(row, is_machine) for row, is_machine in written if inspect(row).persistent]
    session.add_all(AuditWaiting(audit_id=row.id) for row, is_machine in kept if is_machine)
    to_link = [row for row, is_machine in kept if not is_machine]
    if to_link:
        _lock_chain(session)
        _append(session, to_link)
    session.flush()


def _append(session: Session, rows: Sequence[AuditRow]) -> None:
    last = session.scalars(select(AuditLink).order_by(AuditLink.position.desc()).limit(1)).first()
    position, head = (last.position, last.hash) if last else (0, GENESIS)
    for row in rows:
        position, head = position + 1, _hash(head, row)
        session.add(AuditLink(position=position, audit_id=row.id, hash=head))


def _hash(before: str, row: AuditRow) -> str:
    """SHA-256 over the canonical JSON (RFC 8785) of the link before and of the row."""
    document: dict[str, str | int] = {
        "before": before,
        "id": row.id,
        "at": row.at.isoformat(timespec="microseconds"),
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "detail": row.detail,
    }
    return hashlib.sha256(rfc8785.dumps(document)).hexdigest()


def _lock_chain(session: Session) -> None:
    # SQLite has one writer anyway. On PostgreSQL the second waits here until the first has committed.
    if session.connection().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CHAIN_LOCK})


def _hashes(session: Session, ids: Sequence[int]) -> dict[int, str]:
    query = select(AuditLink.audit_id, AuditLink.hash).where(AuditLink.audit_id.in_(ids))
    return {row.audit_id: row.hash for row in session.execute(query)}


def _unlinked() -> Select[AuditRow]:
    return select(AuditRow).join(AuditWaiting, AuditWaiting.audit_id == AuditRow.id).order_by(AuditRow.id)


def _count(session: Session, table: type[Base]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0
