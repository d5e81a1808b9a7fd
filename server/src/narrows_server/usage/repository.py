"""Every query about installations, their records, receipts, gaps and forks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from narrows_metering.record import Record
from sqlalchemy import Connection, CursorResult, delete, func, or_, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, aliased

from narrows_server.paging import Paged, Paging, read_page
from narrows_server.usage.arrival import Arrival
from narrows_server.usage.models import Fork, Installation, IssuedReceipt, OpenGap, StoredRecord

PAGE_RECORDS = 5_000
NULL, BACKSLASH, ESCAPED = "\\N", "\\", "\\\\"  # In the text format of COPY.
_PAYLOADS_THAT_COUNT = frozenset({"encode", "evidence", "delivery"})

_COPY_RECORDS = "COPY record (installation_id, seq, recorded_at, kind, hash, delivered_bytes, document) FROM STDIN"
_INSERT_RECORDS = (
    "INSERT INTO record (installation_id, seq, recorded_at, kind, hash, delivered_bytes, document) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationOverview:
    """An installation and what is known of its usage, for people to look at."""

    installation: Installation
    fork_count: int
    forked_at: datetime | None  # When the last contradiction was seen.
    gap: OpenGap | None
    forked_from: str | None  # The installation of the same customer that this one continues, …
    continued_as: str | None  # … and the one that continues this one.


def lock_installation(session: Session, installation_id: str) -> Installation | None:
    """The installation's row, locked until the end of the transaction where the database has row locks."""
    # Only its own table: PostgreSQL would otherwise lock the customer for every report of that customer.
    query = (
        select(Installation).where(Installation.id == installation_id).with_for_update(of=Installation, key_share=True)
    )
    return session.scalars(query).first()


def list_installations(session: Session, *, contract_id: str | None = None) -> list[Installation]:
    query = select(Installation).order_by(Installation.customer_id, Installation.id)
    if contract_id is not None:
        query = query.where(Installation.contract_id == contract_id)
    return list(session.scalars(query))


def count_installations(session: Session) -> int:
    """How many there are."""
    return session.scalar(select(func.count()).select_from(Installation)) or 0


def overviews(session: Session) -> list[InstallationOverview]:
    """Every installation, the one that reported last first."""
    query = select(Installation).order_by(Installation.reported_at.desc(), Installation.id)
    return _overviews(session, list(session.scalars(query)), is_everything=True)


def overview_page(session: Session, at: Paging, *, customer_id: str | None = None) -> Paged[InstallationOverview]:
    """A page of installations, the newest first: of all, or of one customer."""
    query = select(Installation)
    if customer_id is not None:
        query = query.where(Installation.customer_id == customer_id)
    page = read_page(session, query, by=(Installation.enrolled_at, Installation.id), at=at)
    return Paged(rows=_overviews(session, page.rows), next_cursor=page.next_cursor)


def get_overview(session: Session, installation_id: str) -> InstallationOverview | None:
    installation = session.get(Installation, installation_id)
    return None if installation is None else _overviews(session, [installation])[0]


def heads(session: Session, gaps: Sequence[OpenGap]) -> dict[str, int]:
    """The last record that is known of each installation with a gap."""
    query = select(Installation.id, Installation.head_seq)
    query = query.where(Installation.id.in_([gap.installation_id for gap in gaps]))
    return {row.id: row.head_seq for row in session.execute(query)}


def _overviews(
    session: Session, installations: Sequence[Installation], *, is_everything: bool = False
) -> list[InstallationOverview]:
    # A database takes only so many parameters: where everything is asked for, nothing is named.
    ids = None if is_everything else [installation.id for installation in installations]
    origins = _origins(session, ids)
    forked = select(Fork.installation_id, func.count().label("fork_count"), func.max(Fork.seen_at).label("seen_at"))
    missing = select(OpenGap)
    if ids is not None:
        forked = forked.where(Fork.installation_id.in_(ids))
        missing = missing.where(OpenGap.installation_id.in_(ids))
    forks = {row.installation_id: row for row in session.execute(forked.group_by(Fork.installation_id))}
    gaps = {gap.installation_id: gap for gap in session.scalars(missing)}
    successors = {origin: successor for successor, origin in origins.items()}
    return [
        InstallationOverview(
            installation=installation,
            fork_count=forks[installation.id].fork_count if installation.id in forks else 0,
            forked_at=forks[installation.id].seen_at if installation.id in forks else None,
            gap=gaps.get(installation.id),
            forked_from=origins.get(installation.id),
            continued_as=successors.get(installation.id),
        )
        for installation in installations
    ]


def _origins(session: Session, ids: Sequence[str] | None) -> dict[str, str]:
    """Which installation continues which other one of the same customer: all, or those that *ids* take part in."""
    origin = aliased(Installation)
    query = (
        select(Installation.id, origin.id.label("origin_id"))
        .join(origin, Installation.previous_id == origin.id)
        .where(Installation.customer_id == origin.customer_id)
    )
    if ids is not None:
        query = query.where(or_(Installation.id.in_(ids), origin.id.in_(ids)))
    return {row.id: row.origin_id for row in session.execute(query)}


def stored_hashes(session: Session, installation_id: str, *, first_seq: int, last_seq: int) -> dict[int, str]:
    """The hashes of the records that we hold in this range, by number."""
    query = select(StoredRecord.seq, StoredRecord.hash).where(
        StoredRecord.installation_id == installation_id, StoredRecord.seq.between(first_seq, last_seq)
    )
    return {row.seq: row.hash for row in session.execute(query)}


def add_records(session: Session, arrival: Arrival, *, first_seq: int) -> None:
    """Store the records of *arrival* from *first_seq* on, which are known to continue the installation's chain."""
    known = first_seq - arrival.first_seq
    columns = zip(
        arrival.times[known:],
        arrival.kinds[known:],
        arrival.hashes[known:],
        arrival.delivered[known:],
        arrival.documents[known:],
        strict=True,
    )
    rows = enumerate(columns, start=first_seq)
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        _copy(connection, _copied(arrival.installation_id, rows))
        return
    connection.exec_driver_sql(
        _INSERT_RECORDS, [(arrival.installation_id, seq, _as_sqlite(time), *rest) for seq, (time, *rest) in rows]
    )


def _copy(connection: Connection, lines: str) -> None:
    """COPY is the driver's own, so what it raises has to be made what everything else raises."""
    driver: Any = connection.connection.driver_connection
    base = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(_COPY_RECORDS) as copy:
            copy.write(lines)
    except base as error:
        raise DBAPIError.instance(_COPY_RECORDS, None, error, base) from error


def _copied(installation_id: str, rows: Iterable[tuple[int, tuple[str, str, str, int | None, str]]]) -> str:
    """
    *rows* as COPY reads them: a line for each, columns between tabs.

    Nothing but backslashes has to be escaped: canonical JSON has neither tabs nor line breaks, and the other columns
    are words.
    """
    return "".join(
        f"{installation_id}\t{seq}\t{time}\t{kind}\t{digest}\t{NULL if count is None else count}\t"
        f"{document.replace(BACKSLASH, ESCAPED)}\n"
        for seq, (time, kind, digest, count, document) in rows
    )


def _as_sqlite(time: str) -> str:
    """An RFC 3339 time in UTC as SQLAlchemy writes one to SQLite."""
    return time[:-1].replace("T", " ")


def read_records(session: Session, installation_id: str, *, last_seq: int) -> Iterator[Record]:
    """The records of an installation from the first to *last_seq*, in order, read a page at a time."""
    after = 0
    while True:
        query = (
            select(StoredRecord.seq, StoredRecord.document)
            .where(
                StoredRecord.installation_id == installation_id,
                StoredRecord.seq > after,
                StoredRecord.seq <= last_seq,
            )
            .order_by(StoredRecord.seq)
            .limit(PAGE_RECORDS)
        )
        rows = session.execute(query).all()
        for seq, document in rows:
            yield Record.from_stored(document.encode())
            after = seq
        if len(rows) < PAGE_RECORDS:
            return


def read_payloads(
    session: Session, installation_id: str, *, after: int, last_seq: int
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Kind and payload of the encodes, evidence and deliveries behind number *after*, read a page at a time."""
    while True:
        query = (
            select(StoredRecord.seq, StoredRecord.kind, StoredRecord.document)
            .where(
                StoredRecord.installation_id == installation_id,
                StoredRecord.seq > after,
                StoredRecord.seq <= last_seq,
            )
            .order_by(StoredRecord.seq)
            .limit(PAGE_RECORDS)
        )
        rows = session.execute(query).all()
        for seq, kind, document in rows:
            after = seq
            if kind in _PAYLOADS_THAT_COUNT:
                yield kind, orjson.loads(document)["payload"]
        if len(rows) < PAGE_RECORDS:
            return


def get_record(session: Session, installation_id: str, seq: int) -> Record | None:
    """One record as it was reported."""
    row = session.get(StoredRecord, (installation_id, seq))
    return None if row is None else Record.from_dict(orjson.loads(row.document))


def latest_records(session: Session, installation_id: str, *, count: int) -> list[Record]:
    """The last records of an installation as they were reported, the latest first."""
    query = select(StoredRecord.document).where(StoredRecord.installation_id == installation_id)
    found = session.scalars(query.order_by(StoredRecord.seq.desc()).limit(count))
    return [Record.from_dict(orjson.loads(document)) for document in found]


def get_receipt(session: Session, installation_id: str, first_seq: int, last_seq: int) -> IssuedReceipt | None:
    return session.get(IssuedReceipt, (installation_id, first_seq, last_seq))


def list_receipts(session: Session, installation_id: str) -> list[IssuedReceipt]:
    """Every receipt of an installation, in the order of its records."""
    query = select(IssuedReceipt).where(IssuedReceipt.installation_id == installation_id)
    return list(session.scalars(query.order_by(IssuedReceipt.first_seq, IssuedReceipt.last_seq)))


def latest_receipts(session: Session, installation_id: str, *, count: int) -> list[IssuedReceipt]:
    """The receipts of the last reports of an installation, the latest first."""
    query = select(IssuedReceipt).where(IssuedReceipt.installation_id == installation_id)
    query = query.order_by(IssuedReceipt.first_seq.desc(), IssuedReceipt.last_seq.desc())
    return list(session.scalars(query.limit(count)))


def get_fork(session: Session, installation_id: str, seq: int, record_hash: str) -> Fork | None:
    return session.get(Fork, (installation_id, seq, record_hash))


def list_forks(session: Session, installation_id: str) -> list[Fork]:
    query = select(Fork).where(Fork.installation_id == installation_id).order_by(Fork.seq, Fork.hash)
    return list(session.scalars(query))


def get_gap(session: Session, installation_id: str) -> OpenGap | None:
    return session.get(OpenGap, installation_id)


def list_gaps(session: Session, *, customer_id: str | None = None) -> list[OpenGap]:
    """Every open gap, also those of installations that we do not know: of all customers, or of one."""
    query = select(OpenGap).order_by(OpenGap.seen_at.desc(), OpenGap.installation_id)
    if customer_id is not None:
        query = query.where(OpenGap.customer_id == customer_id)
    return list(session.scalars(query))


def close_gap(session: Session, installation_id: str, *, head_seq: int) -> bool:
    """Forget the installation's gap if nothing of it is missing any more; True if there was one."""
    filled = delete(OpenGap).where(OpenGap.installation_id == installation_id, OpenGap.last_missing <= head_seq)
    done = session.execute(filled, execution_options={"synchronize_session": False})
    assert isinstance(done, CursorResult)
    return done.rowcount > 0
