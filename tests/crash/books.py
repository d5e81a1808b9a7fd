"""
The vendor's books in a database that can be put back: SQLite by copying its file, PostgreSQL by copying the database.

And the whole content of it as text, so that two databases can be compared to the byte. Three things differ between two
runs that did the same, and are written as what they stand for: the random part of receipts, the random ids of
invoices, and the numbers that the database counts up itself: PostgreSQL never gives one again that a failed
transaction took. The hashes of the audit chain are over all three: they are left out, and verified.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from narrows_licensing.signature import decode_base64url
from narrows_server import schema
from narrows_server.audit import verify_chain
from narrows_server.database import Database
from narrows_server.office import Office, initialise, open_office
from narrows_server.settings import DATABASE_VARIABLE, Settings
from sqlalchemy import event, make_url, select

from ..server.builders import VENDOR, Clock
from ..server.postgres import Postgres

RANDOM_CLAIMS: Final = ("nonce",)


class Books:
    """An initialised server over *home* whose database can be kept and put back under a name."""

    def __init__(self, home: Path, postgres: Postgres | None) -> None:
        self.clock = Clock()
        self._postgres = postgres
        self._url = postgres.fresh_database() if postgres else f"sqlite:///{home / 'narrows.sqlite'}"
        self.settings = Settings.read({DATABASE_VARIABLE: self._url}, home=home)
        initialise(self.settings, VENDOR, clock=self.clock)

    @contextmanager
    def opened(self) -> Iterator[Office]:
        with open_office(self.settings, clock=self.clock) as office:
            yield office

    def keep(self, name: str) -> None:
        """Keep the database as it is now; nobody may have it open."""
        self._copy(self._place(None), self._place(name))

    def put_back(self, name: str) -> None:
        self._copy(self._place(name), self._place(None))

    def dump(self) -> str:
        """Every row of every table, in the order of keys."""
        database = Database(self._url)
        try:
            with database.engine.connect() as connection:
                tables = {
                    table.name: [
                        row._asdict() for row in connection.execute(select(table).order_by(*table.primary_key.columns))
                    ]
                    for table in schema.TABLES.sorted_tables
                }
            with database.snapshot() as session:
                chain = verify_chain(session)
                assert chain.fault is None, chain.fault
        finally:
            database.close()
        return _as_text(tables)

    def _place(self, name: str | None) -> str:
        place = make_url(self._url).database
        assert place is not None
        return f"{place}_{name}" if name else place

    def _copy(self, source: str, target: str) -> None:
        if self._postgres is None:
            for path in (source, target):
                for suffix in ("-wal", "-shm"):
                    assert not Path(path + suffix).exists(), "the database is still open"
            shutil.copyfile(source, target)
            return
        with psycopg.connect(self._postgres.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {target}".encode())
            connection.execute(f"CREATE DATABASE {target} TEMPLATE {source}".encode())


def _as_text(tables: dict[str, list[dict[str, Any]]]) -> str:
    invoices = {row["id"]: f"invoice {at}" for at, row in enumerate(tables.get("invoice", []), start=1)}
    # A rolled back insert leaves a gap in PostgreSQL's ids, of entries as of all else.
    entries = {row["id"]: at for at, row in enumerate(tables.get("journal_entry", []), start=1)}
    changes = {row["id"]: at for at, row in enumerate(tables.get("audit", []), start=1)}
    lines = []
    for name, rows in tables.items():
        for at, row in enumerate(rows, start=1):
            shown = dict(row)
            if isinstance(shown.get("id"), int):
                shown["id"] = at
            if "entry_id" in shown:
                shown["entry_id"] = entries[shown["entry_id"]]
            if "audit_id" in shown:
                shown["audit_id"] = changes[shown["audit_id"]]
            if name == "audit_link":
                del shown["hash"]  # Over all of the above as it is; the chain was verified instead.
            if "token" in shown and name == "receipt":
                shown["token"] = _claims(shown["token"])
            lines.append(f"{name} {json.dumps(shown, default=str, sort_keys=True)}")
    text = "\n".join(lines)
    for found, plain in invoices.items():
        text = text.replace(found, plain)
    return text


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(decode_base64url(token.split(".")[1], "the payload"))
    return {name: value for name, value in claims.items() if name not in RANDOM_CLAIMS}


class Struck(Exception):
    """What the database is made to say after the statement that was to be the last."""


@contextmanager
def failing_after(database: Database, statements: int, strike: Callable[[], None]) -> Iterator[None]:
    """
    Call *strike* once *statements* have been executed, and in any case before a commit.

    A commit counts as a statement that is about to be executed: what came before it must not stay.
    """
    left = [statements]

    def executed(*_: object) -> None:
        if left[0] == 0:
            left[0] = -1
            strike()
        left[0] -= 1

    def committing(*_: object) -> None:
        if left[0] == 0:
            left[0] = -1
            strike()
        left[0] -= 1

    event.listen(database.engine, "after_cursor_execute", executed)
    event.listen(database.engine, "commit", committing)
    try:
        yield
    finally:
        event.remove(database.engine, "after_cursor_execute", executed)
        event.remove(database.engine, "commit", committing)
