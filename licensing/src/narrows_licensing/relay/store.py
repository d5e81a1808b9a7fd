"""
What a relay keeps: who has which seat, and the reports that wait for the vendor. One SQLite file, one connection.

Every change is on the disk before anybody hears of it, so a relay that is killed neither gives a seat to two nor loses
a report. Nothing is decided here.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from narrows_licensing.claims import seconds_of
from narrows_licensing.pool import Seat

LOCK_TIMEOUT_SECONDS: Final = 10
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS seat (
    license_id TEXT NOT NULL, holder TEXT NOT NULL, lease_id TEXT NOT NULL UNIQUE, taken_at INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, is_borrowed INTEGER NOT NULL,
    PRIMARY KEY (license_id, holder)
) STRICT;
CREATE TABLE IF NOT EXISTS report (
    number INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, received_at INTEGER NOT NULL, signature TEXT NOT NULL,
    body BLOB, receipt TEXT, installation_id TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS report_of ON report (installation_id, number);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReport:
    """A report as it came: the relay neither opens nor changes it."""

    number: int
    signature: str
    body: bytes


class Store:
    """The file. Every thread may share it; close it when done."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "fullfsync = ON", "trusted_schema = OFF"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else in between: the lock is taken before the first look."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def get_seat(self, license_id: str, holder: str) -> Seat | None:
        query = (
            "SELECT lease_id, holder, taken_at, renewed_at, expires_at, is_borrowed FROM seat "
            "WHERE license_id = ? AND holder = ?"
        )
        row = self._connection.execute(query, (license_id, holder)).fetchone()
        if row is None:
            return None
        lease_id, holder, taken_at, renewed_at, expires_at, is_borrowed = row
        return Seat(
            lease_id=lease_id,
            holder=holder,
            taken_at=_time(taken_at),
            renewed_at=_time(renewed_at),
            expires_at=_time(expires_at),
            is_borrowed=bool(is_borrowed),
        )

    def count_seats(self, *, expires_after: datetime, but: str = "", besides: Collection[str] = ()) -> int:
        """How many seats end later than that, without those of the holder *but* and of the licenses *besides*."""
        places = ", ".join("?" * len(besides))
        query = f"SELECT count(*) FROM seat WHERE expires_at > ? AND holder <> ? AND license_id NOT IN ({places})"  # noqa: S608 - question marks
        with self._lock:
            row = self._connection.execute(query, (seconds_of(expires_after), but, *besides)).fetchone()
        count: int = row[0]
        return count

    def keep_seat(self, license_id: str, seat: Seat) -> None:
        """Put a seat in the place of its holder's earlier one."""
        times = map(seconds_of, (seat.taken_at, seat.renewed_at, seat.expires_at))
        row = (license_id, seat.holder, seat.lease_id, *times, int(seat.is_borrowed))
        self._connection.execute("INSERT OR REPLACE INTO seat VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def remove_seat(self, license_id: str, holder: str) -> None:
        self._connection.execute("DELETE FROM seat WHERE license_id = ? AND holder = ?", (license_id, holder))

    def forget_seats(self, *, expired_by: datetime, but: str) -> None:
        """Remove the seats that ended by then, but for those of one holder."""
        query = "DELETE FROM seat WHERE expires_at <= ? AND holder <> ?"
        self._connection.execute(query, (seconds_of(expired_by), but))

    def keep_report(self, body: bytes, signature: str, *, at: datetime) -> str | None:
        """Keep a report, once; return the vendor's receipt for it if that has come already."""
        digest = _digest(body, signature)
        row = self._connection.execute("SELECT receipt FROM report WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            query = "INSERT INTO report (digest, received_at, signature, body) VALUES (?, ?, ?, ?)"
            self._connection.execute(query, (digest, seconds_of(at), signature, body))
            return None
        receipt: str | None = row[0]
        return receipt

    def waiting_reports(self, *, after: int = 0, limit: int = 100) -> list[KeptReport]:
        """Return reports without a receipt in the order in which they came, from behind the number *after*."""
        query = (
            "SELECT number, signature, body FROM report WHERE receipt IS NULL AND number > ? ORDER BY number LIMIT ?"
        )
        rows = self._connection.execute(query, (after, limit)).fetchall()
        return [KeptReport(number=number, signature=signature, body=body) for number, signature, body in rows]

    def count_waiting(self) -> int:
        with self._lock:
            count: int = self._connection.execute("SELECT count(*) FROM report WHERE receipt IS NULL").fetchone()[0]
        return count

    def receipts_of(self, installation_id: str, *, limit: int) -> list[str]:
        """Return the latest receipts for an installation's reports, in the order in which these came."""
        query = "SELECT receipt FROM report WHERE installation_id = ? ORDER BY number DESC LIMIT ?"
        with self._lock:
            rows = self._connection.execute(query, (installation_id, limit)).fetchall()
        return [receipt for (receipt,) in reversed(rows)]

    def acknowledge(self, number: int, receipt: str, installation_id: str) -> None:
        """Keep the vendor's receipt in the place of the report's body, which nobody needs any more."""
        query = "UPDATE report SET receipt = ?, installation_id = ?, body = NULL WHERE number = ? AND receipt IS NULL"
        self._connection.execute(query, (receipt, installation_id, number))


def _digest(body: bytes, signature: str) -> str:
    return hashlib.sha256(signature.encode() + b"\n" + body).hexdigest()


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
