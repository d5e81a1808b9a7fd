"""Ledgers of one installation, and what somebody who owns the machine can do to them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from narrows_metering.ledger import Entry, Ledger
from narrows_metering.record import Kind, Record
from narrows_metering.testing import NOW, an_installation_id

INSTALLATION = an_installation_id()


def opened(path: Path) -> Ledger:
    """The ledger at *path*, of the usual installation."""
    return Ledger.open(path, installation_id=INSTALLATION)


def filled(path: Path, count: int) -> list[Record]:
    """A closed ledger at *path* with *count* records, and those."""
    with opened(path) as ledger:
        return list(
            ledger.append_all([Entry(kind=Kind.DELIVERY, payload={"bytes": n}, time=NOW) for n in range(count)])
        )


def in_sqlite(path: Path, *statements: str) -> None:
    """Run *statements* on the file, as somebody who owns the machine can."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
