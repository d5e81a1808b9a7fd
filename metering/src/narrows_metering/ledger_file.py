"""
The SQLite file under a ledger: how it is opened, locked, shared across a fork, and what its errors mean.

Knows transactions, nothing of records; `ledger` is the only user, `ledger_schema` says what is inside.

Write-ahead log with `synchronous=FULL`: a committed transaction has reached the disk. Reading and writing have a
connection each, so that a long look at the records keeps no append waiting.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, Protocol
from weakref import WeakSet

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError, MultipleResultsFound, NoResultFound

from narrows_metering import ledger_schema
from narrows_metering.errors import DiskFull, LedgerDamaged, LedgerUnavailable

LOCK_TIMEOUT: Final = timedelta(seconds=30)  # How long one process waits for the others' commits.

Begin = Literal["BEGIN", "BEGIN IMMEDIATE"]

_UNAVAILABLE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
# A quota that is used up is not ENOSPC, and SQLite then reports a failed write.
_NO_ROOM: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})


class Forkable(Protocol):
    """What has to be still while its process forks."""

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


class LedgerFile:
    """The connections of this process to the ledger at *path*, for all its threads: one that reads, one that writes."""

    def __init__(self, path: Path, *, lock_timeout: timedelta) -> None:
        self._engine: Engine | None = _engine(path, lock_timeout)
        self._locks = {"BEGIN IMMEDIATE": threading.RLock(), "BEGIN": threading.RLock()}
        hold_still_in_forks(self)

    @contextmanager
    def transaction(self, begin: Begin, *, first_doubtful: int | None = None) -> Iterator[Connection]:
        """
        One transaction, committed at the end of the block and undone by an exception.

        Raises LedgerUnavailable or LedgerDamaged for what SQLite says; the latter names record *first_doubtful*.
        """
        with self._locks[begin]:
            if self._engine is None:
                raise LedgerUnavailable("the ledger is closed")
            try:
                with self._engine.connect() as connection:
                    connection.execution_options(narrows_begin=begin)
                    with connection.begin():
                        yield connection
            # SQLite quotes a damaged schema in its message, which then may not be text.
            except (DBAPIError, UnicodeDecodeError) as error:
                raise _explain(error, first_doubtful) from error
            except (MultipleResultsFound, NoResultFound) as error:
                raise LedgerDamaged(first_doubtful, f"a table does not have the row that it must: {error}") from error

    def fold(self) -> None:
        """
        Bring everything from the write-ahead log into the file, so that it can be moved once it is closed.

        Raises LedgerUnavailable if that fails or somebody else has the file open.
        """
        with self._locks["BEGIN IMMEDIATE"]:
            if self._engine is None:
                raise LedgerUnavailable("the ledger is closed")
            try:
                with self._engine.connect() as connection:
                    driver: Any = connection.connection.driver_connection
                    busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except (DBAPIError, sqlite3.Error) as error:
                raise _explain(error, None) from error
            if busy:
                raise LedgerUnavailable("the ledger cannot be folded now: somebody else reads it")

    def close(self) -> None:
        """Close the connections; the last one to close folds the write-ahead log into the file."""
        with self._locks["BEGIN IMMEDIATE"], self._locks["BEGIN"]:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def before_fork(self) -> None:
        """
        Hold the file still, with no connection open.

        POSIX locks are not inherited, but SQLite's idea of them is: a child that merely holds its parent's connection
        believes in locks that it does not have, and may fold away the log under another process.
        """
        for lock in self._locks.values():
            lock.acquire()
        if self._engine is not None:
            self._engine.dispose()

    def after_fork_in_parent(self) -> None:
        """Go on; parent and child each open connections of their own when they next need one."""
        for lock in self._locks.values():
            lock.release()

    after_fork_in_child = after_fork_in_parent


def open_file(path: Path, *, installation_id: str, lock_timeout: timedelta) -> LedgerFile:
    """
    Open the ledger file at *path*, or make it.

    Raises LedgerDamaged if it is not a ledger, LedgerUnavailable if it is of another format, another installation's or
    cannot be opened.
    """
    try:
        if not path.exists():
            ledger_schema.create(path, installation_id)
        file = LedgerFile(path, lock_timeout=lock_timeout)
    except (OSError, sqlite3.Error) as error:
        raise LedgerUnavailable(f"{path}: {error}") from error
    try:
        with file.transaction("BEGIN") as connection:
            ledger_schema.check_schema(connection)
            stated = connection.exec_driver_sql("SELECT format, installation_id FROM ledger").all()
        if len(stated) != 1 or stated[0][0] != ledger_schema.FORMAT:
            raise LedgerDamaged(None, f"{path}: not of the format {ledger_schema.FORMAT}")
        if stated[0][1] != installation_id:
            raise LedgerUnavailable(f"{path}: belongs to the installation {stated[0][1]}, not {installation_id}")
    except BaseException:
        file.close()
        raise
    return file


def _explain(
    error: DBAPIError | sqlite3.Error | UnicodeDecodeError, sequence: int | None
) -> LedgerDamaged | LedgerUnavailable:
    """What an error of SQLite means for a ledger; *sequence* is the first record that it may concern."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    if code in _NO_ROOM:
        return DiskFull(f"the ledger cannot be used now: {cause}")
    if code & 0xFF in _UNAVAILABLE:
        return LedgerUnavailable(f"the ledger cannot be used now: {cause}")
    # Our statements are fixed, so whatever else SQLite objects to lies in the file.
    return LedgerDamaged(sequence, f"the database is malformed: {cause}")


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: plain fsync stops at the drive's own cache.
    connection.execute("PRAGMA trusted_schema = OFF")


def _engine(path: Path, lock_timeout: timedelta) -> Engine:
    def connect() -> sqlite3.Connection:
        # mode=rw: a ledger that vanished is an error, never a new empty file. The log's transactions are ours to begin.
        address = f"{path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(
            address, uri=True, timeout=lock_timeout.total_seconds(), isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=2, max_overflow=0)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options()["narrows_begin"])

    return engine


_FORKABLE: WeakSet[Forkable] = WeakSet()
_REGISTERING: Final = threading.Lock()  # Held through a fork: another thread may be opening a ledger.
_HELD: list[Forkable] = []  # Between the two halves of a fork.


def hold_still_in_forks(item: Forkable) -> None:
    """Have *item* held still by every fork, for as long as somebody uses it."""
    with _REGISTERING:
        _FORKABLE.add(item)


def _before_fork() -> None:
    _REGISTERING.acquire()
    # Queues of commits before the files that they commit to: that is the order in which a commit takes them.
    _HELD.extend(sorted(_FORKABLE, key=lambda item: isinstance(item, LedgerFile)))
    for item in _HELD:
        item.before_fork()


def _after_fork_in_parent() -> None:
    while _HELD:
        _HELD.pop().after_fork_in_parent()
    _REGISTERING.release()


def _after_fork_in_child() -> None:
    while _HELD:
        _HELD.pop().after_fork_in_child()
    _REGISTERING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
