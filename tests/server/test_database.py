"""The database: migrations give exactly the tables of the models, and sessions keep their promises."""

from __future__ import annotations

import json
import socket
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from narrows_metering.receipt import Receipt
from narrows_metering.record import Kind, Record
from narrows_metering.testing import GB, a_delivery, a_receipt, a_receipt_token, an_encode, some_records
from narrows_metering.transparency import leaf_hash, log_entry
from narrows_server import audit, schema
from narrows_server.audit import AuditRow, Occasion
from narrows_server.cli import app
from narrows_server.contracts.service import document_on
from narrows_server.database import Database
from narrows_server.office import Office
from narrows_server.settings import DATABASE_VARIABLE
from narrows_server.transparency.models import PendingLeaf
from narrows_server.transparency.service import merge
from narrows_server.usage import repository
from narrows_server.usage.partitions import tables_of_its_own
from sqlalchemy import Connection, MetaData, Table, select, text
from sqlalchemy.exc import DatabaseError, OperationalError, StatementError
from typer.testing import CliRunner

from .builders import NOW
from .postgres import Postgres


def test_migrating_an_empty_database_gives_the_tables_of_the_models(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'fresh.sqlite'}")
    try:
        assert schema.upgrade(database) is True
        assert schema.upgrade(database) is False
        with database.engine.connect() as connection:
            assert differences(connection) == []
    finally:
        database.close()


def test_the_newest_revision_is_the_one_that_alembic_ends_at() -> None:
    script = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))

    assert schema.newest_revision() == script.get_current_head()


def differences(connection: Connection) -> list[object]:
    """What the database has other than the models, apart from what only PostgreSQL has."""
    own = tables_of_its_own(connection)
    told = {"include_name": lambda name, kind, _: kind != "table" or name not in own}
    return list(compare_metadata(MigrationContext.configure(connection, opts=told), schema.TABLES))


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fresh.sqlite'}"
    postgres = request.getfixturevalue("postgres")
    assert isinstance(postgres, Postgres)
    return postgres.fresh_database()


def test_both_databases_get_exactly_the_tables_of_the_models(fresh_url: str) -> None:
    database = Database(fresh_url)
    try:
        schema.upgrade(database)
        with database.engine.connect() as connection:
            assert differences(connection) == []
    finally:
        database.close()


def test_the_third_revision_goes_down_and_up_again(fresh_url: str) -> None:
    database = Database(fresh_url)
    try:
        schema.upgrade(database, to="0003")
        schema.downgrade(database, to="0002")
        schema.upgrade(database)
        with database.engine.connect() as connection:
            assert differences(connection) == []
    finally:
        database.close()


def test_usage_from_before_the_second_revision_is_kept_counted_and_queued_for_the_log(fresh_url: str) -> None:
    records = some_records([(Kind.ENCODE, an_encode()), (Kind.DELIVERY, a_delivery(delivered=7 * GB))])
    receipt = a_receipt(records)
    database = Database(fresh_url)
    try:
        schema.upgrade(database, to="0001")
        with database.engine.begin() as connection:
            write_first_revision(connection, records, receipt)
        assert schema.upgrade(database) is True

        with database.snapshot() as session:
            (overview,) = repository.overviews(session)
            installation = overview.installation
            assert (installation.encode_count, installation.delivered_bytes) == (1, 7 * GB)
            assert list(repository.read_records(session, installation.id, last_seq=2)) == records
            pending = session.scalars(select(PendingLeaf)).one()
            terms = document_on(session, "kanal-1", NOW.date())
        assert (terms.share[0].percent, terms.payment_days) == (Decimal(20), 30)
        assert pending.leaf_hash == leaf_hash(log_entry(receipt)).hex()
        for statement in ("UPDATE record SET kind = 'gap'", "DELETE FROM record", "UPDATE log_leaf SET last_seq = 1"):
            if "log_leaf" in statement:
                merge(database)
            with pytest.raises(DatabaseError, match="never"), database.transaction() as session:
                session.execute(text(statement))
    finally:
        database.close()


def write_first_revision(connection: Connection, records: list[Record], receipt: Receipt) -> None:
    """An installation with *records* and *receipt*, as the first revision kept them."""
    i, at = receipt.installation_id, NOW
    rows: list[tuple[str, list[object]]] = [
        ("customer", ["kanal", "Kanal", "Storgatan 1", None, None, at]),
        ("tariff", ["t", "CDN", "EUR", '[[1000, "0.05"], [null, "0.0400"]]', at]),
        ("contract", ["kanal-1", "kanal", "t", "20", "libx265-medium", "ms_ssim", NOW.date(), 30, at]),
        ("license", ["l", "kanal", "kanal-1", "production", at, at, None, "token"]),
        ("installation", [i, "kanal", "kanal-1", "l", "key", "narrows 0.1.0", at, at, 2, records[-1].hash]),
        ("receipt", [i, 1, 2, at, a_receipt_token(receipt)]),
    ]
    for record in records:
        delivered = record.payload["bytes"] if record.kind is Kind.DELIVERY else None
        document = json.dumps(record.to_dict(), sort_keys=True, separators=(",", ":"))
        rows.append(("record", [i, record.seq, record.kind.value, record.hash, delivered, document]))
    for name, values in rows:
        table = Table(name, MetaData(), autoload_with=connection)
        connection.execute(table.insert().values(dict(zip(table.c.keys(), values, strict=True))))


def test_a_naive_time_does_not_reach_the_database(office: Office) -> None:
    occasion = Occasion(actor="admin:test", at=datetime(2026, 11, 23))  # noqa: DTZ001 - what is refused
    with pytest.raises(StatementError, match="naive"), office.database.transaction() as session:
        audit.write(session, occasion, "tested", "time")


def test_a_time_comes_back_in_utc_whatever_zone_it_had(office: Office) -> None:
    local = NOW.astimezone(timezone(timedelta(hours=9)))
    with office.database.transaction() as session:
        audit.write(session, Occasion(actor="admin:test", at=local), "tested", "time")
    with office.database.snapshot() as session:
        row = session.scalars(select(AuditRow).order_by(AuditRow.id.desc())).first()

    assert row is not None
    assert (row.at, row.at.utcoffset()) == (NOW, timedelta(0))


def test_a_reader_does_not_wait_for_a_writer_and_sees_the_state_before_it(office: Office) -> None:
    with office.database.transaction() as writer:
        audit.write(writer, Occasion(actor="admin:test", at=NOW), "tested", "isolation")
        writer.flush()
        with office.database.snapshot() as reader:
            assert reader.scalar(select(AuditRow.id).where(AuditRow.subject == "isolation")) is None


@pytest.mark.sqlite
def test_a_commit_is_on_the_disk_before_it_returns(office: Office) -> None:
    with office.database.snapshot() as session:
        assert session.scalar(text("PRAGMA synchronous")) == 2  # FULL
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA foreign_keys")) == 1


def test_invoices_from_before_there_were_legal_entities_keep_every_byte(fresh_url: str) -> None:
    document = json.dumps({"vendor": {"name": "Narrows", "address": ["1 Quay"], "email": None, "tax_id": None}})
    database = Database(fresh_url)
    try:
        schema.upgrade(database, to="0004")
        with database.engine.begin() as connection:
            write_fourth_revision(connection, document)
        schema.upgrade(database)

        with database.engine.connect() as connection:
            assert connection.execute(text("SELECT name, address FROM legal_entity")).all() == [("Narrows", "1 Quay")]
            rollup = connection.execute(
                text("SELECT customer_id, period, saved_bytes, share_minor FROM statement_rollup")
            )
            assert rollup.all() == [("kanal", "2026-11", 30, 200)]
            query = "SELECT place, asset, renditions, delivered_bytes, saved_bytes FROM asset_rollup ORDER BY place"
            assert connection.execute(text(query)).all() == [(1, "won", 2, 50, 34), (2, "lost", 1, 20, -4)]
            row = connection.execute(text("SELECT number, document, net_minor, tax_minor, total_minor FROM invoice"))
            assert row.all() == [("INV-2026-000007", document, 200, 0, 200)]
            series = connection.execute(text("SELECT name, last_number FROM invoice_series")).all()
            assert series == [("INV-2026-", 7)]
            assert connection.scalar(text("SELECT invoice_id FROM outcome")) == "i"
            owed = connection.execute(text("SELECT invoice_id, owed_minor FROM receivable"))
            assert owed.all() == [("i", 200)]
        with pytest.raises(DatabaseError, match="never"), database.transaction() as session:
            session.execute(text("UPDATE invoice SET total_minor = 1"))
    finally:
        database.close()


A_STATEMENT = {
    "baseline": {"baseline_id": "libx265-medium", "metric": "ms_ssim"},
    "contract": {"currency": "EUR"},
    "result": {"delivered_bytes": 70, "baseline_bytes": 100, "saved_bytes": 30},
    "valuation": {
        "saved": {"currency": "EUR", "minor": 1000},
        "delivered_cost": {"minor": 2000},
        "baseline_cost": {"minor": 3000},
    },
    "share": {"parts": [{"slices": [{"percent": "20"}]}], "amount": {"minor": 200}, "reason": None},
    "delivered": {"deliveries": 3},
    "exceptions": [],
    "evidence": {
        "lines": [
            {"asset": "lost", "delivered_bytes": 20, "saved_bytes": -4},
            {"asset": "won", "delivered_bytes": 30, "saved_bytes": 20},
            {"asset": "won", "delivered_bytes": 20, "saved_bytes": 14},
        ]
    },
}


def write_fourth_revision(connection: Connection, document: str) -> None:
    """A closed month with its invoice, as the fourth revision kept them."""
    at = NOW
    rows: list[tuple[str, list[object]]] = [
        ("customer", ["kanal", "Kanal", "Storgatan 1", None, None, at]),
        ("tariff", ["t", "CDN", "EUR", '[[null, "0.05"]]', at]),
        ("contract", ["kanal-1", "kanal", "t", "20", "libx265-medium", "ms_ssim", NOW.date().replace(day=1), 30, at]),
        ("statement", ["s", "kanal-1", "2026-11", at, "hash", json.dumps(A_STATEMENT)]),
        ("invoice_series", ["INV-2026", 7]),
        ("invoice", ["i", "issued", "INV-2026-000007", "kanal", "s", "EUR", 200, at, at, document, "hash"]),
        ("outcome", ["kanal-1", "2026-11", "invoiced", None, "s", "i", at]),
    ]
    for name, values in rows:
        table = Table(name, MetaData(), autoload_with=connection)
        connection.execute(table.insert().values(dict(zip(table.c.keys(), values, strict=True))))


def test_a_database_that_takes_a_connection_and_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # Two seconds are the shortest that libpq knows; ours, unless the URL says otherwise, are ten.
        database = Database(f"postgresql+psycopg://narrows@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=2")
        with pytest.raises(OperationalError, match="timeout"), database.snapshot() as session:
            session.execute(text("SELECT 1"))
        database.close()


def test_a_command_says_in_a_sentence_that_the_database_is_away(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql+psycopg://narrows@/x?host=/nonexistent")
    done = CliRunner().invoke(app, ["serve", "--home", str(home)])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the database does not answer: ")
    assert len(done.stderr.splitlines()) == 1
