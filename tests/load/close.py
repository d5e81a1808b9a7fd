"""
`make close-load`: a month's close over many contracts and records, on SQLite and on PostgreSQL, and its rerun.

The books are written straight into the tables, as intake would have left them; what is timed is the close alone, with
the command that people use. Beside the seconds on the wall stand those on processors: on a busy machine the wall says
more about the others.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from narrows_metering.record import Kind
from narrows_metering.testing import NOVEMBER, an_installation_id
from narrows_server.audit import Occasion
from narrows_server.contracts import service as contracts
from narrows_server.contracts.contract_document import ContractDocument
from narrows_server.contracts.reading import check_document
from narrows_server.customers import service as customers
from narrows_server.licenses.models import IssuedLicense
from narrows_server.office import Office, open_office
from narrows_server.parties.party import Party
from narrows_server.statements import repository, service
from narrows_server.statements.models import Outcome
from narrows_server.usage.models import Installation
from rich.progress import track
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from ..server.builders import some_contract
from ..server.postgres import PostgresMissing, running_postgres
from .recompute import some_usage
from .vendor import make_vendor

SECONDS_MAX = 60
CLOSED_AT = datetime(2026, 12, 5, tzinfo=UTC)
Row = tuple[str, int, datetime, str, str, int | None, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """One close of a month."""

    database: str
    contracts: int
    records: int
    seconds: float
    processor_seconds: float
    again_seconds: float
    invoiced: int
    is_repeatable: bool


def main() -> int:
    """The exit code of the command."""
    parser = argparse.ArgumentParser(prog="make close-load", description=__doc__)
    parser.add_argument("--contracts", type=int, default=1_000)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    options = parser.parse_args()
    results = []
    for database in options.databases.split(","):
        # Not in memory: part of what is measured is a disk.
        with TemporaryDirectory(prefix="narrows-close-") as name:
            try:
                closed = _measure(Path(name), database, options.contracts, options.records)
            except PostgresMissing as missing:
                sys.stdout.write(f"{database}: skipped, {missing}\n")
                continue
        results.append(closed)
        verdict = "ok" if closed.seconds < SECONDS_MAX else "MISSED"
        sys.stdout.write(
            f"{database}: {closed.contracts:,} contracts, {closed.records:,} records closed in {closed.seconds:.1f} s "
            f"({closed.processor_seconds:.1f} s on processors, load average {os.getloadavg()[0]:.1f}), bar "
            f"{SECONDS_MAX} s {verdict}; invoiced {closed.invoiced:,}; again in {closed.again_seconds:.1f} s, "
            f"{'the same hashes' if closed.is_repeatable else 'OTHER HASHES'}\n"
        )
        sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in results], indent=2) + "\n")
    return 0 if all(one.seconds < SECONDS_MAX and one.is_repeatable for one in results) else 1


def _measure(folder: Path, database: str, count: int, records: int) -> Closed:
    if database == "postgresql":
        with running_postgres() as server:
            return _measured(folder, server.fresh_database(), database, count, records)
    return _measured(folder, None, database, count, records)


def _measured(folder: Path, url: str | None, database: str, count: int, records: int) -> Closed:
    vendor = make_vendor(folder / "home", url)
    with open_office(vendor.settings) as office:
        write_books(office, count, records)
        ids = active_contracts(office)
        started, before = time.monotonic(), _processor_seconds()
        outcomes = [one.result for one in close_all(office, ids)]
        seconds, busy = time.monotonic() - started, _processor_seconds() - before
        hashes = _hashes(office)
        started = time.monotonic()
        again = [one.result for one in close_all(office, ids)]
        return Closed(
            database=database,
            contracts=len(ids),
            records=records,
            seconds=seconds,
            processor_seconds=busy,
            again_seconds=time.monotonic() - started,
            invoiced=outcomes.count("invoiced"),
            is_repeatable=again == outcomes and _hashes(office) == hashes,
        )


def close_all(office: Office, ids: list[str]) -> Iterator[Outcome]:
    return service.close_month(
        office.database, ids, NOVEMBER, occasion=lambda: Occasion(actor="admin:load", at=CLOSED_AT)
    )


def active_contracts(office: Office) -> list[str]:
    with office.database.snapshot() as session:
        return [one for one in service.active_contracts(session, NOVEMBER) if one.startswith("load-")]


def _hashes(office: Office) -> list[tuple[str, str]]:
    with office.database.snapshot() as session:
        return [(row.id, row.hash) for row in repository.list_statements(session)]


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def write_books(office: Office, count: int, records: int) -> None:
    """*count* customers with a contract and an installation each, and *records* in all."""
    occasion = Occasion(actor="admin:load", at=datetime(2026, 11, 1, tzinfo=UTC))
    each = records // count
    with office.database.transaction() as session:
        license_id = session.scalars(select(IssuedLicense.id).limit(1)).one()
        for number in range(count):
            name = f"load-{number:05}"
            customers.add_customer(session, Party(name=f"Load {number}"), customer_id=name, occasion=occasion)
            terms = check_document(ContractDocument, some_contract(customer=name), what="contract")
            contracts.add_contract(session, terms, contract_id=name, occasion=occasion)
    for number in track(range(count), description="writing records", disable=not sys.stderr.isatty()):
        with office.database.transaction() as session:
            _write_installation(session, f"load-{number:05}", license_id, each, occasion.at)


def _write_installation(session: Session, name: str, license_id: str, count: int, at: datetime) -> None:
    installation_id = an_installation_id(name)
    rows = list[Row]()
    for record in some_usage(installation_id, count):
        delivered = record.payload["bytes"] if record.kind is Kind.DELIVERY else None
        document = orjson.dumps(record.to_dict(), option=orjson.OPT_SORT_KEYS).decode()
        rows.append((installation_id, record.seq, record.time, record.kind.value, record.hash, delivered, document))
    session.execute(
        insert(Installation).values(
            id=installation_id,
            customer_id=name,
            contract_id=name,
            license_id=license_id,
            public_key=installation_id,
            sdk="narrows 0.1.0",
            enrolled_at=at,
            reported_at=at,
            head_seq=count,
            head_hash=rows[-1][4],
            encode_count=0,
            delivered_bytes=0,
        )
    )
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        cursor = connection.connection.cursor()
        with cursor.copy(
            "COPY record (installation_id, seq, recorded_at, kind, hash, delivered_bytes, document) FROM STDIN"
        ) as copy:
            for row in rows:
                copy.write_row(row)
        return
    connection.exec_driver_sql(
        "INSERT INTO record (installation_id, seq, recorded_at, kind, hash, delivered_bytes, document) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(row[0], row[1], row[2].strftime("%Y-%m-%d %H:%M:%S.%f"), *row[3:]) for row in rows],
    )


if __name__ == "__main__":
    sys.exit(main())
