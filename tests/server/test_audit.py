"""The audit log: whoever changes it with the database in their hands is noticed, and everybody can take it along."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from narrows_server import audit, schema
from narrows_server.app import create_app
from narrows_server.audit import GENESIS, Occasion
from narrows_server.database import Database
from narrows_server.office import Office
from sqlalchemy import text

from .api import a_program
from .builders import NOW, Browser, Site, a_contract, an_occasion, send, some_usage
from .owner import unguard
from .postgres import Postgres

TAMPERING = {
    "a row is changed": "UPDATE audit SET subject = 'another' WHERE id = 3",
    "an actor is changed": "UPDATE audit SET actor = 'admin:somebody-else' WHERE id = 2",
    "a detail is changed": "UPDATE audit SET detail = '{}' WHERE id = 2",
    "a row is removed": "DELETE FROM audit WHERE id = 3",
    "a row and its link are removed": "DELETE FROM audit_link WHERE audit_id = 3; DELETE FROM audit WHERE id = 3",
    "a row is put in": "INSERT INTO audit (at, actor, action, subject, detail) "
    "VALUES ('2026-11-23 08:00:00', 'admin:test', 'tested', 'x', '{}')",
    "two rows change places": "UPDATE audit_link SET audit_id = 99 WHERE audit_id = 2; "
    "UPDATE audit_link SET audit_id = 2 WHERE audit_id = 3; UPDATE audit_link SET audit_id = 3 WHERE audit_id = 99",
}


def verify(office: Office, *, known_head: str | None = None) -> audit.ChainReport:
    with office.database.snapshot() as session:
        return audit.verify_chain(session, known_head=known_head)


def tamper(office: Office, statements: str) -> None:
    """Change the database as whoever owns it can: the triggers are switched off first."""
    engine = office.database.engine
    with engine.connect() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql("COMMIT" if is_sqlite else "SET session_replication_role = replica")
        if is_sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            unguard(connection, "audit", "audit_link")
        for statement in statements.split("; "):
            connection.execute(text(statement))
        connection.commit()
    engine.dispose()


class TestTheChain:
    def test_every_change_is_linked_with_the_change_itself(self, office: Office) -> None:
        before = verify(office)
        a_contract(office)
        after = verify(office, known_head=before.head)

        assert (after.fault, after.waiting) == (None, 0)
        assert after.length == before.length + 3

    @pytest.mark.parametrize("how", TAMPERING)
    def test_tampering_is_noticed(self, office: Office, how: str) -> None:
        a_contract(office)
        assert verify(office).fault is None
        tamper(office, TAMPERING[how])

        assert verify(office).fault is not None

    def test_cutting_off_the_newest_rows_is_noticed_by_whoever_noted_the_head(self, office: Office) -> None:
        a_contract(office)
        known = verify(office).head
        tamper(
            office,
            "DELETE FROM audit_link WHERE position = (SELECT max(position) FROM audit_link); "
            "DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)",
        )

        assert verify(office).fault is None
        assert "cut off" in str(verify(office, known_head=known).fault)

    def test_a_change_that_is_taken_back_leaves_no_link(self, office: Office) -> None:
        before = verify(office)
        with office.database.transaction() as session:
            with session.begin_nested() as savepoint:
                audit.write(session, an_occasion(), "tested", "savepoint")
                session.flush()
                savepoint.rollback()
            audit.write(session, an_occasion(), "tested", "kept")
        after = verify(office)

        assert (after.length, after.fault) == (before.length + 1, None)

    def test_what_machines_report_waits_and_is_linked_soon(self, office: Office, site: Site) -> None:
        site.record(*some_usage())
        send(Browser(create_app(office)), site.report())
        before = verify(office)
        assert before.waiting > 0
        assert before.fault is None

        assert audit.link_all(office.database) == before.waiting
        after = verify(office, known_head=before.head)
        assert (after.waiting, after.fault) == (0, None)
        assert after.length == before.length + before.waiting
        assert audit.link_all(office.database) == 0

    def test_many_at_once_make_one_chain_on_postgresql(self, postgres: Postgres) -> None:
        database = Database(postgres.fresh_database())
        try:
            schema.upgrade(database)

            def write(number: int) -> None:
                for step in range(5):
                    with database.transaction() as session:
                        actor = f"installation:{number}" if number % 2 else f"admin:{number}"
                        audit.write(session, Occasion(actor=actor, at=NOW), "tested", f"{number}.{step}")
                    audit.link_all(database)

            with ThreadPoolExecutor(8) as pool:
                list(pool.map(write, range(8)))
            audit.link_all(database)
            with database.snapshot() as session:
                found = audit.verify_chain(session, known_head=GENESIS)
            assert (found.length, found.waiting, found.fault) == (40, 0, None)
        finally:
            database.close()


class TestReading:
    def test_the_pages_together_are_the_whole_trail(self, office: Office) -> None:
        a_contract(office)
        owner = a_program(office)
        everything = owner.items("/v1/audit?limit=2")

        assert [row["id"] for row in everything] == sorted((row["id"] for row in everything), reverse=True)
        assert {"customer.added", "tariff.added", "contract.added"} <= {row["action"] for row in everything}
        assert all(row["hash"] for row in everything)

    def test_the_trail_of_one_thing(self, office: Office) -> None:
        a_contract(office)

        assert [row["action"] for row in a_program(office).items("/v1/audit?subject=kanal")] == ["customer.added"]

    def test_ndjson_and_csv_say_the_same(self, office: Office) -> None:
        a_contract(office)
        owner = a_program(office)
        lines = [json.loads(line) for line in owner.get("/v1/audit/export").text.splitlines()]
        rows = list(csv.DictReader(io.StringIO(owner.get("/v1/audit/export?format=csv").text)))

        assert [(str(line["id"]), line["action"], line["hash"]) for line in lines] == [
            (row["id"], row["action"], row["hash"]) for row in rows
        ]
        assert owner.get("/v1/audit/verify").json()["head"] == lines[-1]["hash"]

    def test_a_spreadsheet_takes_nothing_in_it_for_a_formula(self, office: Office) -> None:
        with office.database.transaction() as session:
            audit.write(session, Occasion(actor='=HYPERLINK("http://evil")', at=NOW), "tested", "@SUM(A1)")
        rows = list(csv.reader(io.StringIO(a_program(office).get("/v1/audit/export?format=csv").text)))

        assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]

    def test_a_head_that_is_none_is_refused(self, office: Office) -> None:
        assert a_program(office).get("/v1/audit/verify?head=zz").status_code == 422


def test_rows_from_before_the_chain_are_linked_by_the_migration(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.sqlite'}")
    try:
        schema.upgrade(database, to="0006")
        with database.engine.begin() as connection:
            for number in range(3):
                connection.execute(
                    text(
                        "INSERT INTO audit (at, actor, action, subject, detail) VALUES (:at, 'a', 'tested', :s, '{}')"
                    ),
                    {"at": f"2026-11-2{number} 08:00:00.000000", "s": f"Ä{number}"},
                )
        schema.upgrade(database)
        with database.snapshot() as session:
            found = audit.verify_chain(session)
        assert (found.length, found.fault) == (3, None)
    finally:
        database.close()
