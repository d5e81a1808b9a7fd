"""The months of the record table: made ahead and once, found again where they were missing, and nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from narrows_metering.record import Kind, Record, genesis
from narrows_metering.report import Report
from narrows_metering.testing import a_delivery, an_installation_id
from narrows_server import schema
from narrows_server.database import Database, try_alone
from narrows_server.usage import repository
from narrows_server.usage.arrival import Arrival
from narrows_server.usage.models import StoredRecord
from narrows_server.usage.partitions import partitions, prepare, stray_count
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from .builders import NOW
from .postgres import Postgres

INSTALLATION = an_installation_id("months")
AHEAD = ["record_2026_11", "record_2026_12", "record_2027_01", "record_2027_02"]


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    database = Database(postgres.fresh_database())
    schema.upgrade(database)
    yield database
    database.close()


def made(database: Database, *, at: datetime = NOW) -> list[str]:
    with database.transaction() as session:
        return prepare(session, at=at)


def places(database: Database) -> list[tuple[int, str]]:
    """In which partition each record is."""
    with database.engine.connect() as connection:
        return [
            (row.seq, row.place)
            for row in connection.execute(
                text("SELECT seq, CAST(CAST(tableoid AS regclass) AS text) AS place FROM record ORDER BY seq")
            )
        ]


def store(database: Database, *times: datetime) -> list[Record]:
    """A chain of records written at *times*, stored as intake stores them."""
    records, prev = list[Record](), genesis(INSTALLATION)
    for seq, time in enumerate(times, start=1):
        # A backslash, because COPY has its own idea of one.
        payload = a_delivery(source_digest='a "\\t" or \\N')
        records.append(Record.seal(seq, prev, time, Kind.DELIVERY, payload))
        prev = records[-1].hash
    report = Report(
        installation_id=INSTALLATION,
        public_key="",
        license_token="",
        sdk="narrows 0.1.0",
        nonce_previous=None,
        records=tuple(records),
    )
    with database.transaction() as session:
        repository.add_records(session, Arrival.of(report), first_seq=1)
    return records


def test_the_present_month_and_three_to_come_are_made_once(database: Database) -> None:
    assert made(database) == AHEAD
    assert made(database) == []
    assert made(database, at=NOW + timedelta(days=15)) == ["record_2027_03"]


def test_a_record_is_in_the_month_of_its_own_time_in_utc(database: Database) -> None:
    made(database)
    store(database, datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))

    assert places(database) == [(1, "record_2026_11"), (2, "record_2026_12")]


def test_a_month_found_in_the_default_partition_is_made_and_its_records_are_moved_unchanged(database: Database) -> None:
    made(database)
    wrong_clock = datetime(1970, 1, 1, tzinfo=UTC)
    records = store(database, wrong_clock, NOW - timedelta(days=400), NOW)
    with database.engine.connect() as connection:
        assert stray_count(connection) == 2

    assert made(database) == ["record_2025_10"]

    assert places(database) == [(1, "record_default"), (2, "record_2025_10"), (3, "record_2026_11")]
    with database.snapshot() as session:
        assert list(repository.read_records(session, INSTALLATION, last_seq=3)) == records
        assert stray_count(session.connection()) == 1
    assert made(database) == []


@pytest.mark.parametrize("change", ["UPDATE record SET kind = 'gap'", "DELETE FROM record"])
def test_records_are_never_changed_in_any_partition_also_after_a_move(database: Database, change: str) -> None:
    store(database, NOW, datetime(1970, 1, 1, tzinfo=UTC))
    made(database)
    for place in ("record_2026_11", "record_default"):
        with pytest.raises(DatabaseError, match="rows of record are never"), database.transaction() as session:
            session.execute(text(change.replace("record", place, 1)))


def test_of_several_workers_one_makes_the_months(database: Database) -> None:
    barrier, answers = threading.Barrier(4), list[list[str]]()

    def work() -> None:
        barrier.wait()
        answers.append(made(database))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [[], [], [], AHEAD]


def test_while_one_worker_is_at_a_job_no_other_is(database: Database) -> None:
    with database.transaction() as one, database.transaction() as other:
        assert try_alone(one, 7)
        assert not try_alone(other, 7)
        assert try_alone(other, 8)
    with database.transaction() as later:
        assert try_alone(later, 7)


def test_on_sqlite_there_are_no_months() -> None:
    database = Database("sqlite://")
    try:
        schema.upgrade(database)
        assert made(database) == []
        with database.engine.connect() as connection:
            assert (partitions(connection), stray_count(connection)) == (frozenset(), 0)
    finally:
        database.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_going_back_a_revision_and_forth_again_changes_no_record(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'kept.sqlite'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    database = Database(url)
    try:
        schema.upgrade(database)
        records = store(database, NOW - timedelta(days=70), NOW, datetime(1970, 1, 1, tzinfo=UTC))
        schema.downgrade(database, to="0013")
        with database.snapshot() as session:
            kept = session.execute(text("SELECT count(*), sum(delivered_bytes) FROM record")).one()
        schema.upgrade(database)

        with database.snapshot() as session:
            assert list(repository.read_records(session, INSTALLATION, last_seq=3)) == records
            assert session.execute(text("SELECT count(*), sum(delivered_bytes) FROM record")).one() == kept
            assert list(session.scalars(select(StoredRecord.recorded_at).order_by(StoredRecord.seq))) == [
                record.time for record in records
            ]
        with pytest.raises(DatabaseError, match="never"), database.transaction() as session:
            session.execute(text("DELETE FROM record"))
    finally:
        database.close()
