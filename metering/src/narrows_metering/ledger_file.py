"""
The SQLite file under a ledger: how it is made, opened, locked, shared across a fork, and what its errors mean.

Knows tables and transactions, nothing of records; `ledger` is the only user.

The file is made beside its final path and linked into place complete, so nobody ever opens half a ledger. Write-ahead
log with `synchronous=FULL`: a committed transaction has reached the disk. The triggers are a guard against our own
mistakes and honest tools; whoever owns the machine can drop them, and then the hashes tell.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal
from weakref import WeakSet

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from narrows_metering.errors import LedgerDamaged, LedgerUnavailable
from narrows_metering.record import genesis

FORMAT: Final = "narrows-ledger/1"
LOCK_TIMEOUT: Final = timedelta(seconds=30)  # How long one process waits for the others' commits.

Begin = Literal["BEGIN", "BEGIN IMMEDIATE"]

_SCHEMA: Final = (
    """CREATE TABLE ledger (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), format TEXT NOT NULL,
        installation_id TEXT NOT NULL, head_seq INTEGER NOT NULL, head_hash TEXT NOT NULL)""",
    """CREATE TABLE records (seq INTEGER PRIMARY KEY, hash TEXT NOT NULL, body BLOB NOT NULL)""",
    """CREATE TABLE receipts (last_seq INTEGER PRIMARY KEY, token TEXT NOT NULL, digest TEXT NOT NULL)""",
    """CREATE TRIGGER records_never_change BEFORE UPDATE ON records
        BEGIN SELECT RAISE(ABORT, 'records are append-only'); END""",
    """CREATE TRIGGER records_never_go BEFORE DELETE ON records
        BEGIN SELECT RAISE(ABORT, 'records are append-only'); END""",
    """CREATE TRIGGER records_leave_no_gap BEFORE INSERT ON records
        WHEN NEW.seq IS NOT (SELECT head_seq + 1 FROM ledger)
        BEGIN SELECT RAISE(ABORT, 'a record follows the head'); END""",
    # The head stands in another page than the last record, so neither can vanish or change without the other.
    """CREATE TRIGGER records_move_the_head AFTER INSERT ON records
        BEGIN UPDATE ledger SET head_seq = NEW.seq, head_hash = NEW.hash; END""",
    """CREATE TRIGGER receipts_never_change BEFORE UPDATE ON receipts
        BEGIN SELECT RAISE(ABORT, 'receipts are append-only'); END""",
    """CREATE TRIGGER receipts_never_go BEFORE DELETE ON receipts
        BEGIN SELECT RAISE(ABORT, 'receipts are append-only'); END""",
    """CREATE TRIGGER receipts_only_grow BEFORE INSERT ON receipts
        WHEN NEW.last_seq <= (SELECT max(last_seq) FROM receipts)
        BEGIN SELECT RAISE(ABORT, 'a receipt covers more than those before'); END""",
    """CREATE TRIGGER ledger_only_grows BEFORE UPDATE ON ledger
        WHEN NEW.head_seq <= OLD.head_seq OR NEW.format <> OLD.format OR NEW.installation_id <> OLD.installation_id
        BEGIN SELECT RAISE(ABORT, 'a ledger only grows'); END""",
    """CREATE TRIGGER ledger_never_goes BEFORE DELETE ON ledger
        BEGIN SELECT RAISE(ABORT, 'a ledger stays'); END""",
)
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


class LedgerFile:
    """One SQLite connection at a time to the ledger at *path*, for all threads of this process."""

    def __init__(self, path: Path, *, lock_timeout: timedelta) -> None:
        self._engine: Engine | None = _engine(path, lock_timeout)
        self._lock = threading.RLock()
        _OPEN.add(self)

    @contextmanager
    def transaction(self, begin: Begin, *, first_doubtful: int | None = None) -> Iterator[Connection]:
        """
        One transaction, committed at the end of the block and undone by an exception.

        Raises LedgerUnavailable or LedgerDamaged for what SQLite says; the latter names record *first_doubtful*.
        """
        with self._lock:
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

    def close(self) -> None:
        """Close the connection; the last one to close folds the write-ahead log into the file."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def before_fork(self) -> None:
        """
        Hold the file still, with no connection open.

        POSIX locks are not inherited, but SQLite's idea of them is: a child that merely holds its parent's connection
        believes in locks that it does not have, and may fold away the log under another process.
        """
        self._lock.acquire()
        if self._engine is not None:
            self._engine.dispose()

    def after_fork(self) -> None:
        """Go on; parent and child each open a connection of their own when they next need one."""
        self._lock.release()


def open_file(path: Path, *, installation_id: str, lock_timeout: timedelta) -> LedgerFile:
    """
    Open the ledger file at *path*, or make it.

    Raises LedgerDamaged if it is not a ledger of this format, LedgerUnavailable if it is another installation's or
    cannot be opened.
    """
    try:
        if not path.exists():
            _create(path, installation_id)
        file = LedgerFile(path, lock_timeout=lock_timeout)
    except (OSError, sqlite3.Error) as error:
        raise LedgerUnavailable(f"{path}: {error}") from error
    try:
        with file.transaction("BEGIN") as connection:
            _check_schema(connection)
            stated = connection.exec_driver_sql("SELECT format, installation_id FROM ledger").all()
        if len(stated) != 1 or stated[0][0] != FORMAT:
            raise LedgerDamaged(None, f"{path}: not of the format {FORMAT}")
        if stated[0][1] != installation_id:
            raise LedgerUnavailable(f"{path}: belongs to the installation {stated[0][1]}, not {installation_id}")
    except BaseException:
        file.close()
        raise
    return file


def check_structure(connection: Connection) -> None:
    """Let SQLite check its pages and indexes. Raises LedgerDamaged with what it found first."""
    found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
    if found != "ok":
        raise LedgerDamaged(None, f"the database is malformed: {found}")


def _explain(error: DBAPIError | UnicodeDecodeError, sequence: int | None) -> LedgerDamaged | LedgerUnavailable:
    """What an error of SQLite means for a ledger; *sequence* is the first record that it may concern."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _UNAVAILABLE:
        return LedgerUnavailable(f"the ledger cannot be used now: {cause}")
    # Our statements are fixed, so whatever else SQLite objects to lies in the file.
    return LedgerDamaged(sequence, f"the database is malformed: {cause}")


def _create(path: Path, installation_id: str) -> None:
    if path.with_name(path.name + "-wal").exists():
        # SQLite would replay the orphaned log into the new file.
        raise LedgerDamaged(None, f"{path}: missing, but its write-ahead log is there")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            _prepare(connection)
            connection.execute("BEGIN")
            for statement in _SCHEMA:
                connection.execute(statement)
            first = (1, FORMAT, installation_id, 0, genesis(installation_id))
            connection.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?)", first)
            connection.execute("COMMIT")
            # Closing would fold the log into the file too, but says nothing when it cannot: a full disk, say.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # Another process was faster; theirs is as good.
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows cannot open folders, and journals its directory by itself.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prepare(connection: Any) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: plain fsync stops at the drive's own cache.
    connection.execute("PRAGMA trusted_schema = OFF")


def _check_schema(connection: Connection) -> None:
    stored = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").scalars().all()
    if len(stored) != len(_SCHEMA) or set(stored) != set(_SCHEMA):
        raise LedgerDamaged(None, "not a ledger, or its tables and triggers were altered")


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

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=1, max_overflow=0)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options()["narrows_begin"])

    return engine


_OPEN: WeakSet[LedgerFile] = WeakSet()
_HELD: list[LedgerFile] = []  # Between the two halves of a fork.


def _before_fork() -> None:
    _HELD.extend(_OPEN)
    for file in _HELD:
        file.before_fork()


def _after_fork() -> None:
    while _HELD:
        _HELD.pop().after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
