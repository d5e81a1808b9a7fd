"""A record is never in the books twice, whoever writes and from however many connections: the database refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from narrows_metering.record import Kind, Record, genesis
from narrows_metering.report import Report
from narrows_metering.testing import a_delivery, an_installation_id
from narrows_server import schema
from narrows_server.database import Database
from narrows_server.usage import repository
from narrows_server.usage.arrival import Arrival
from narrows_server.usage.partitions import prepare
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from .builders import NOW

INSTALLATION = an_installation_id("once")
WRITERS = 6


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'books.sqlite'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    database = Database(url)
    schema.upgrade(database)
    with database.transaction() as session:
        prepare(session, at=NOW)
    yield database
    database.close()


def chain(count: int, *, at: datetime = NOW, step: timedelta = timedelta(0), first_seq: int = 1) -> Arrival:
    """*count* records from *first_seq* on, which nothing but the database looks at."""
    records, prev = list[Record](), genesis(INSTALLATION)
    for seq in range(first_seq, first_seq + count):
        records.append(Record.seal(seq, prev, at + (seq - first_seq) * step, Kind.DELIVERY, a_delivery()))
        prev = records[-1].hash
    return Arrival.of(
        Report(
            installation_id=INSTALLATION,
            public_key="",
            license_token="",
            sdk="narrows 0.1.0",
            nonce_previous=None,
            records=tuple(records),
        )
    )


def write(database: Database, arrival: Arrival) -> None:
    """Store records without asking what is there: what intake would do if it made a mistake."""
    with database.transaction() as session:
        repository.add_records(session, arrival, first_seq=arrival.first_seq)


def all_at_once(work: Callable[[int], None]) -> list[BaseException | None]:
    """What *work* raised in each of several threads that begin together."""
    barrier, outcomes = threading.Barrier(WRITERS), dict[int, BaseException | None]()

    def run(number: int) -> None:
        barrier.wait()
        try:
            work(number)
            outcomes[number] = None
        except DatabaseError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [outcomes[number] for number in range(WRITERS)]


def numbers(database: Database) -> list[int]:
    with database.snapshot() as session:
        return list(session.scalars(text("SELECT seq FROM record ORDER BY seq")))


def test_the_same_records_written_by_many_at_once_are_there_once(database: Database) -> None:
    outcomes = all_at_once(lambda _: write(database, chain(50)))

    assert outcomes.count(None) == 1
    assert numbers(database) == list(range(1, 51))


def test_records_of_the_same_number_and_another_time_are_there_once(database: Database) -> None:
    # Each writer's are of another month: no key of one partition could find the others.
    outcomes = all_at_once(lambda number: write(database, chain(50, at=NOW + timedelta(days=40 * (number - 3)))))

    assert outcomes.count(None) == 1
    assert numbers(database) == list(range(1, 51))


def test_those_that_continue_the_same_end_at_once_are_there_once(database: Database) -> None:
    write(database, chain(10))

    outcomes = all_at_once(
        lambda number: write(database, chain(5, first_seq=11, at=NOW + timedelta(days=40 * (number - 3))))
    )

    assert outcomes.count(None) == 1
    assert numbers(database) == list(range(1, 16))


def test_what_was_written_before_is_refused_at_any_later_time(database: Database) -> None:
    write(database, chain(10))
    for arrival in (
        chain(10),
        chain(1, at=datetime(1970, 1, 1, tzinfo=UTC)),
        chain(3, first_seq=10, at=NOW + timedelta(days=90)),
        chain(4, first_seq=4, at=NOW + timedelta(days=31), step=timedelta(days=31)),
    ):
        with pytest.raises(DatabaseError, match=r"unique|UNIQUE|next"):
            write(database, arrival)

    assert numbers(database) == list(range(1, 11))


def test_a_number_twice_in_one_statement_is_refused(database: Database) -> None:
    if database.engine.dialect.name == "sqlite":
        pytest.skip("a statement of SQLite adds one row")
    values = ", ".join(
        f"('{INSTALLATION}', {seq}, '{at}', 'gap', '', NULL, '{{}}')"
        for seq, at in ((1, "2026-11-01"), (1, "2026-12-01"), (3, "2026-12-01"))
    )
    with pytest.raises(DatabaseError, match="twice or not at all"), database.transaction() as session:
        session.execute(text(f"INSERT INTO record VALUES {values}"))

    assert numbers(database) == []


def test_many_reports_that_overlap_leave_no_number_twice(database: Database) -> None:
    def work(number: int) -> None:
        for first_seq in range(1 + number % 3, 40, 3):
            try:
                write(database, chain(5, first_seq=first_seq, at=NOW + timedelta(days=20 * number)))
            except DatabaseError:
                continue

    all_at_once(work)

    found = numbers(database)
    assert len(found) == len(set(found)) >= 5
    if database.engine.dialect.name == "postgresql":
        assert found == list(range(1, len(found) + 1))
