"""
The tables of a ledger and the triggers that keep them append-only; how a ledger file is made.

The triggers are a guard against our own mistakes and honest tools; whoever owns the machine can drop them, and then
the hashes tell. A file is made beside its final path and linked into place complete, so nobody ever opens half a
ledger.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from narrows_metering.errors import LedgerDamaged, LedgerUnavailable
from narrows_metering.record import genesis

FORMAT: Final = "narrows-ledger/2"  # /1, of a release that no customer had, knew neither pruning nor successors.

_SCHEMA: Final = (
    """CREATE TABLE ledger (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), format TEXT NOT NULL,
        installation_id TEXT NOT NULL, head_seq INTEGER NOT NULL, head_hash TEXT NOT NULL)""",
    """CREATE TABLE records (seq INTEGER PRIMARY KEY, hash TEXT NOT NULL, body BLOB NOT NULL)""",
    """CREATE TABLE receipts (last_seq INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, head_hash TEXT NOT NULL,
        token TEXT NOT NULL, digest TEXT NOT NULL)""",
    # The last record that was pruned, or the genesis: what the first record that is kept has to continue.
    """CREATE TABLE pruned (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), seq INTEGER NOT NULL,
        hash TEXT NOT NULL)""",
    # Written once, when another installation takes over: records up to own_seq stay this one's. Should the server
    # contradict those as well, a further successor takes them, and fewer stay.
    """CREATE TABLE retirement (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), own_seq INTEGER NOT NULL,
        successor TEXT NOT NULL)""",
    # Finds the few records that a ledger holds about itself. Canonical JSON begins with the kind: {"kind":"lifecycle"
    """CREATE INDEX lifecycle ON records (seq)
        WHERE substr(body, 1, 19) = x'7B226B696E64223A226C6966656379636C6522'""",
    """CREATE TRIGGER records_never_change BEFORE UPDATE ON records
        BEGIN SELECT RAISE(ABORT, 'records are append-only'); END""",
    """CREATE TRIGGER records_never_go BEFORE DELETE ON records
        WHEN OLD.seq > (SELECT seq FROM pruned)
        BEGIN SELECT RAISE(ABORT, 'records are append-only'); END""",
    """CREATE TRIGGER records_leave_no_gap BEFORE INSERT ON records
        WHEN NEW.seq IS NOT (SELECT head_seq + 1 FROM ledger) OR EXISTS (SELECT 1 FROM retirement)
        BEGIN SELECT RAISE(ABORT, 'a record follows the head of a ledger that is not retired'); END""",
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
    """CREATE TRIGGER ledger_begins_once BEFORE INSERT ON ledger
        WHEN EXISTS (SELECT 1 FROM ledger)
        BEGIN SELECT RAISE(ABORT, 'a ledger begins once'); END""",
    # A record can only go once the boundary has passed it, and the boundary is always the end of a receipt.
    """CREATE TRIGGER pruned_up_to_a_receipt BEFORE UPDATE ON pruned
        WHEN NEW.seq <= OLD.seq OR NOT EXISTS (
            SELECT 1 FROM receipts JOIN records ON records.seq = receipts.last_seq
            WHERE receipts.last_seq = NEW.seq AND receipts.head_hash = NEW.hash AND records.hash = NEW.hash)
        BEGIN SELECT RAISE(ABORT, 'records are pruned up to a receipt'); END""",
    """CREATE TRIGGER pruned_never_goes BEFORE DELETE ON pruned
        BEGIN SELECT RAISE(ABORT, 'a ledger stays'); END""",
    """CREATE TRIGGER pruned_begins_once BEFORE INSERT ON pruned
        WHEN EXISTS (SELECT 1 FROM pruned)
        BEGIN SELECT RAISE(ABORT, 'a ledger begins once'); END""",
    """CREATE TRIGGER retirement_only_shrinks BEFORE UPDATE ON retirement
        WHEN NEW.own_seq >= OLD.own_seq
        BEGIN SELECT RAISE(ABORT, 'a ledger retires once'); END""",
    """CREATE TRIGGER retirement_never_goes BEFORE DELETE ON retirement
        BEGIN SELECT RAISE(ABORT, 'a ledger retires once'); END""",
    """CREATE TRIGGER retirement_comes_once BEFORE INSERT ON retirement
        WHEN EXISTS (SELECT 1 FROM retirement)
        BEGIN SELECT RAISE(ABORT, 'a ledger retires once'); END""",
)
_LEFTOVERS: Final = ("-journal", "-wal", "-shm")  # What SQLite puts beside a database.


def create(path: Path, installation_id: str) -> None:
    """
    Begin an empty ledger at *path*, unless another process was faster: theirs is as good.

    Raises LedgerDamaged if a write-ahead log without its ledger lies there, OSError or sqlite3.Error if the file cannot
    be made.
    """
    if path.with_name(path.name + "-wal").exists():
        # SQLite would replay the orphaned log into the new file.
        raise LedgerDamaged(None, f"{path}: missing, but its write-ahead log is there")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            # Written under a rollback journal, whose commit leaves everything in the file itself. A write-ahead log
            # would have to be folded in when the connection closes, and there SQLite keeps a full disk to itself.
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("BEGIN")
            for statement in _SCHEMA:
                connection.execute(statement)
            beginning = genesis(installation_id)
            connection.execute("INSERT INTO ledger VALUES (1, ?, ?, 0, ?)", (FORMAT, installation_id, beginning))
            connection.execute("INSERT INTO pruned VALUES (1, 0, ?)", (beginning,))
            connection.execute("COMMIT")
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise LedgerUnavailable(f"{path}: this file system does not allow a write-ahead log")
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        for leftover in (draft, *(draft.with_name(draft.name + suffix) for suffix in _LEFTOVERS)):
            leftover.unlink(missing_ok=True)
    sync_folder(path.parent)


def check_schema(connection: Connection) -> None:
    """
    Check that the tables and triggers are those of a ledger of this format.

    Raises LedgerDamaged if they are not, LedgerUnavailable if the file is of another format of ours.
    """
    stored = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").scalars().all()
    if len(stored) == len(_SCHEMA) and set(stored) == set(_SCHEMA):
        return
    try:
        formats = connection.exec_driver_sql("SELECT format FROM ledger").scalars().all()
    except DBAPIError:
        formats = []
    if len(formats) == 1 and str(formats[0]).startswith("narrows-ledger/") and formats[0] != FORMAT:
        raise LedgerUnavailable(
            f"the ledger is of the format {formats[0]}, and this release keeps {FORMAT}: "
            "report from it with the release that made it, then move it away"
        )
    raise LedgerDamaged(None, "not a ledger, or its tables and triggers were altered")


def check_structure(connection: Connection) -> None:
    """Let SQLite check its pages and indexes. Raises LedgerDamaged with what it found first."""
    found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
    if found != "ok":
        raise LedgerDamaged(None, f"the database is malformed: {found}")


def sync_folder(folder: Path) -> None:
    """Wait until the names in *folder* are on the disk."""
    if os.name != "posix":
        return  # Windows cannot open folders, and journals its directory by itself.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
