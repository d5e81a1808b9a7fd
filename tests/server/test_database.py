"""The database: migrations give exactly the tables of the models, and sessions keep their promises."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from narrows_server import audit, schema
from narrows_server.audit import AuditRow, Occasion
from narrows_server.database import Database
from narrows_server.office import Office
from sqlalchemy import select, text
from sqlalchemy.exc import StatementError

from .builders import NOW


def test_migrating_an_empty_database_gives_the_tables_of_the_models(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'fresh.sqlite'}")
    try:
        assert schema.upgrade(database) is True
        assert schema.upgrade(database) is False
        with database.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), schema.TABLES) == []
    finally:
        database.close()


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


def test_a_commit_is_on_the_disk_before_it_returns(office: Office) -> None:
    with office.database.snapshot() as session:
        assert session.scalar(text("PRAGMA synchronous")) == 2  # FULL
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
