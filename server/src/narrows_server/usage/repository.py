"""Every query about installations, their records, receipts and forks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from narrows_metering.payload import Delivery, read_delivery
from narrows_metering.record import Kind, Record
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from narrows_server.usage.models import Fork, Installation, IssuedReceipt, StoredRecord

PAGE_RECORDS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationOverview:
    """An installation and what is known of its usage, for people to look at."""

    installation: Installation
    encode_count: int
    delivered_bytes: int
    fork_count: int


def lock_installation(session: Session, installation_id: str) -> Installation | None:
    """The installation's row, locked until the end of the transaction where the database has row locks."""
    # Only its own table: PostgreSQL would otherwise lock the customer for every report of that customer.
    query = select(Installation).where(Installation.id == installation_id).with_for_update(of=Installation)
    return session.scalars(query).first()


def list_installations(session: Session, *, contract_id: str | None = None) -> list[Installation]:
    query = select(Installation).order_by(Installation.customer_id, Installation.id)
    if contract_id is not None:
        query = query.where(Installation.contract_id == contract_id)
    return list(session.scalars(query))


def overviews(session: Session) -> list[InstallationOverview]:
    """Every installation, the one that reported last first."""
    records = (
        select(
            StoredRecord.installation_id,
            func.count().filter(StoredRecord.kind == Kind.ENCODE.value).label("encodes"),
            func.coalesce(func.sum(StoredRecord.delivered_bytes), 0).label("delivered"),
        )
        .group_by(StoredRecord.installation_id)
        .subquery()
    )
    forks = select(func.count()).where(Fork.installation_id == Installation.id).scalar_subquery()
    query = (
        select(Installation, records.c.encodes, records.c.delivered, forks)
        .outerjoin(records, records.c.installation_id == Installation.id)
        .order_by(Installation.reported_at.desc(), Installation.id)
    )
    return [
        InstallationOverview(
            installation=installation,
            encode_count=encodes or 0,
            delivered_bytes=int(delivered or 0),  # PostgreSQL sums to a Decimal.
            fork_count=fork_count,
        )
        for installation, encodes, delivered, fork_count in session.execute(query)
    ]


def stored_hashes(session: Session, installation_id: str, *, first_seq: int, last_seq: int) -> dict[int, str]:
    """The hashes of the records that we hold in this range, by number."""
    query = select(StoredRecord.seq, StoredRecord.hash).where(
        StoredRecord.installation_id == installation_id, StoredRecord.seq.between(first_seq, last_seq)
    )
    return {row.seq: row.hash for row in session.execute(query)}


def add_records(session: Session, installation_id: str, records: Iterable[Record]) -> None:
    """Store records that are known to continue the installation's chain."""
    rows = [
        {
            "installation_id": installation_id,
            "seq": record.seq,
            "kind": record.kind.value,
            "hash": record.hash,
            "delivered_bytes": _delivered_bytes(record),
            "document": record_document(record),
        }
        for record in records
    ]
    session.execute(insert(StoredRecord), rows)


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
            yield Record.from_dict(json.loads(document))
            after = seq
        if len(rows) < PAGE_RECORDS:
            return


def get_receipt(session: Session, installation_id: str, first_seq: int, last_seq: int) -> IssuedReceipt | None:
    return session.get(IssuedReceipt, (installation_id, first_seq, last_seq))


def get_fork(session: Session, installation_id: str, record: Record) -> Fork | None:
    return session.get(Fork, (installation_id, record.seq, record.hash))


def record_document(record: Record) -> str:
    """A record as it is stored: the JSON of its `to_dict`."""
    return json.dumps(record.to_dict(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _delivered_bytes(record: Record) -> int | None:
    if record.kind is not Kind.DELIVERY:
        return None
    delivery = read_delivery(record.payload)
    return delivery.bytes_delivered if isinstance(delivery, Delivery) else None
