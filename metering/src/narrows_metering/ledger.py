"""
The usage ledger: an append-only chain of records in one SQLite file on the customer's machine.

`append` returns once the record is on the disk, so a crash can lose a stream but never a charge. Several threads and
processes may append to one ledger; threads that come at the same moment share one wait for the disk. Nothing here talks
to the network (see `report`), and nothing damaged is repaired: it is named, and what precedes it stays readable
(`ledger_reader`).

Records go only under a receipt (`prune`). What the file alone cannot show is its own past: an older copy of it is a
valid, shorter ledger. Its witness and its receipts show that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sqlalchemy import Connection, delete, insert, select, update

from narrows_metering import ledger_file, ledger_rows
from narrows_metering.chain import Head, merkle_root
from narrows_metering.commit_queue import CommitQueue
from narrows_metering.errors import (
    DiskFull,
    LedgerDamaged,
    LedgerUnavailable,
    ReceiptRefused,
)
from narrows_metering.ledger_reader import LedgerReader
from narrows_metering.ledger_rows import PRUNED, RECEIPTS, RECORDS, RETIREMENT
from narrows_metering.receipt import Receipt
from narrows_metering.record import Kind, Record, Unsealed
from narrows_metering.reserve import Reserve
from narrows_metering.witness import Witness

GROUP_CALLS_MAX: Final = 256  # Calls of `append` that share one commit.
RETENTION: Final = timedelta(days=400)  # How long records stay after their receipt: a year's account and its audit.

_INSERT: Final = "INSERT INTO records VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to become a record, for `Ledger.append_all`."""

    kind: Kind
    payload: Mapping[str, object]
    time: datetime  # Aware.


class Ledger(LedgerReader):
    """
    An open ledger. Open it with `Ledger.open`, close it or use it as a context manager.

    >>> with Ledger.open(path, installation_id=installation_id) as ledger:
    ...     record = ledger.append(Kind.ENCODE, payload, time=now)

    Safe to share between threads, and across a fork: connections are closed before it and opened again on demand.
    """

    def __init__(
        self,
        file: ledger_file.LedgerFile,
        *,
        path: Path,
        installation_id: str,
        witness: Witness | None = None,
        reserve: Reserve | None = None,
    ) -> None:
        super().__init__(file, path=path, installation_id=installation_id)
        self._witness = witness
        self._reserve = reserve
        self._commits = CommitQueue[tuple[Unsealed, ...], tuple[Record, ...]](self._commit, group_max=GROUP_CALLS_MAX)
        ledger_file.hold_still_in_forks(self._commits)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        installation_id: str,
        lock_timeout: timedelta = ledger_file.LOCK_TIMEOUT,
        witness: Witness | None = None,
        reserve: Reserve | None = None,
    ) -> Self:
        """
        Open the ledger at *path*, or begin it there (mode 0600; the folder must exist).

        An append waits at most *lock_timeout* for those of other processes. *witness* makes the loss of records
        visible that the file itself does not show; *reserve* makes room for them when the disk is full.

        Raises LedgerDamaged if the file is not a ledger, its last records do not hold or its witness saw more,
        LedgerUnavailable if it belongs to another installation or cannot be used now.
        """
        # The witness speaks first: while it is read, others may append.
        seen = witness.seen() if witness else None
        if seen is not None and not path.exists():
            raise LedgerDamaged(1, f"{path} is missing, and it had {seen.seq} records")
        file = ledger_file.open_file(path, installation_id=installation_id, lock_timeout=lock_timeout)
        ledger = cls(file, path=path, installation_id=installation_id, witness=witness, reserve=reserve)
        try:
            ledger._check_tail(seen)
        except BaseException:
            ledger.close()
            raise
        return ledger

    @classmethod
    def open_damaged(cls, path: Path, *, installation_id: str, own_seq: int | None = None) -> Self:
        """
        Open what is left of a damaged ledger, unchecked, to read and report the good records before the damage.

        *own_seq* is the last of them, where the file cannot be made to say so. Raises LedgerUnavailable if there is
        nothing to open; everything else raises LedgerDamaged where it meets the damage.
        """
        if not path.exists():
            raise LedgerUnavailable(f"{path}: missing")
        file = ledger_file.LedgerFile(path, lock_timeout=ledger_file.LOCK_TIMEOUT)
        ledger = cls(file, path=path, installation_id=installation_id)
        ledger._is_damaged = True
        ledger._own_seq = own_seq
        return ledger

    def close(self) -> None:
        """Close the file. A closed ledger refuses everything else."""
        self._file.close()
        if self._witness is not None:
            self._witness.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, kind: Kind, payload: Mapping[str, object], *, time: datetime) -> Record:
        """
        Append one record and return it once it is on the disk.

        Raises RecordRefused for a payload that breaks the rules, LedgerRetired if the record belongs into the
        successor's ledger, LedgerUnavailable if nothing could be written.
        """
        (record,) = self.append_all([Entry(kind=kind, payload=payload, time=time)])
        return record

    def append_all(self, entries: Iterable[Entry]) -> tuple[Record, ...]:
        """Append all *entries* or none, with one wait for the disk. Raises as `append` does."""
        unsealed = tuple(Unsealed.check(entry.kind, entry.payload, entry.time) for entry in entries)
        return self._commits.submit(unsealed) if unsealed else ()

    def _commit(self, calls: Sequence[tuple[Unsealed, ...]]) -> list[tuple[Record, ...]]:
        try:
            return self._write(calls)
        except DiskFull:
            if self._reserve is None or not self._reserve.release():
                raise
            return self._write(calls)

    def _write(self, calls: Sequence[tuple[Unsealed, ...]]) -> list[tuple[Record, ...]]:
        with self._file.transaction("BEGIN IMMEDIATE") as connection:
            # The numbers are taken inside the transaction that uses them: another process may have appended.
            written = _insert(connection, ledger_rows.writable_head(connection), calls)
        self._note(written[-1][-1])
        return written

    def append_after(self, head: Head, entries: Iterable[Entry]) -> tuple[Record, ...] | None:
        """
        Append all *entries* if *head* is still the last record, else nothing: for what was decided by looking.

        Raises as `append` does.
        """
        unsealed = tuple(Unsealed.check(entry.kind, entry.payload, entry.time) for entry in entries)
        with self._file.transaction("BEGIN IMMEDIATE") as connection:
            if ledger_rows.writable_head(connection) != head:
                return None
            (records,) = _insert(connection, head, [unsealed])
        self._note(records[-1])
        return records

    def _note(self, last: Record) -> None:
        if self._witness is not None:
            self._witness.note(Head(seq=last.seq, hash=last.hash))

    def acknowledge(self, receipt_token: str, receipt: Receipt) -> None:
        """
        Keep a receipt that `read_receipt` has verified. One for records that are already acknowledged changes nothing.

        Raises ReceiptRefused if it is another installation's, leaves a gap after what is acknowledged, or covers other
        records than this ledger has: then the ledger was copied or restored, and has to begin anew as another.
        """
        if ledger_rows.receipt_inside(receipt_token) != receipt:
            raise ReceiptRefused("the token does not hold this receipt")
        if receipt.installation_id != self.installation_id:
            raise ReceiptRefused("the receipt is for another installation")
        if receipt.last_seq > self.head().seq:
            raise ReceiptRefused(f"the receipt covers record {receipt.last_seq}, which this ledger does not have")
        self._check_covered(receipt)
        with self._file.transaction("BEGIN IMMEDIATE") as connection:
            # An altered receipt of a retired ledger stays in the way of a good one for the same records.
            done = ledger_rows.read_acknowledged(connection)
            if receipt.last_seq <= done:
                return
            if receipt.first_seq > done + 1:
                raise ReceiptRefused(f"the receipt begins at {receipt.first_seq}, but only {done} is acknowledged")
            row = {
                "last_seq": receipt.last_seq,
                "first_seq": receipt.first_seq,
                "head_hash": receipt.head_hash,
                "token": receipt_token,
                "digest": ledger_rows.digest_of(receipt_token),
            }
            connection.execute(insert(RECEIPTS), [row])

    def prune(self, before: datetime) -> int:
        """
        Remove the records whose receipt the server gave before *before*; returns how many went.

        The ledger keeps the hash of the last one that went, so that the chain goes on from there, and all receipts.
        Raises LedgerDamaged if a receipt is not for what is there, LedgerUnavailable if nothing can be written.
        """
        removed = 0
        while True:  # A receipt at a time, so that nobody's append waits long.
            with self._file.transaction("BEGIN IMMEDIATE") as connection:
                pruned = ledger_rows.read_pruned(connection)
                following = select(RECEIPTS).where(RECEIPTS.c.last_seq > pruned.seq).order_by(RECEIPTS.c.last_seq)
                row = connection.execute(following.limit(1)).first()
                receipt = None if row is None else ledger_rows.stored_receipt(*row)
                if receipt is None or receipt.time >= before:
                    return removed
                connection.execute(update(PRUNED).values(seq=receipt.last_seq, hash=receipt.head_hash))
                removed += connection.execute(delete(RECORDS).where(RECORDS.c.seq <= receipt.last_seq)).rowcount

    @contextmanager
    def retiring(self, *, successor: str, own_seq: int) -> Iterator[int]:
        """
        Retire this ledger when the block ends, in favour of that of the installation *successor*; an exception in the
        block leaves everything as it was. Nobody can append meanwhile: the block gets the number of the last record.

        Records up to *own_seq* stay this installation's to report. Raises LedgerRetired if it is retired already.
        """
        with self._file.transaction("BEGIN IMMEDIATE") as connection:
            yield ledger_rows.writable_head(connection).seq
            connection.execute(insert(RETIREMENT), [{"only_row": 1, "own_seq": own_seq, "successor": successor}])

    @contextmanager
    def ceding(self, *, successor: str, own_seq: int) -> Iterator[int]:
        """
        Leave the records behind *own_seq* of a retired ledger to a further *successor* when the block ends, which gets
        the last number that was this installation's. With nothing to leave, nothing happens.
        """
        with self._file.transaction("BEGIN IMMEDIATE") as connection:
            own = ledger_rows.number(connection.execute(select(RETIREMENT.c.own_seq)).scalar_one())
            yield own
            if own_seq < own:
                connection.execute(update(RETIREMENT).values(own_seq=own_seq, successor=successor))

    def fold(self) -> None:
        """Bring everything into the file at `path`, so that it can be moved once closed. Raises LedgerUnavailable."""
        self._file.fold()

    def require_room(self) -> None:
        """See to it that there will be room for the record of what starts now. Raises DiskFull."""
        if self._reserve is not None:
            self._reserve.require_room()

    def _check_covered(self, receipt: Receipt) -> None:
        """Check that *receipt* is for the records that are here, as far as they are kept. Raises ReceiptRefused."""
        pruned = self.pruned()
        if receipt.last_seq <= pruned.seq:
            return
        count = receipt.last_seq - max(pruned.seq, receipt.first_seq - 1)
        hashes = [record.hash for record in self.records(receipt.last_seq - count, count)]
        is_whole = receipt.first_seq > pruned.seq
        if hashes[-1] != receipt.head_hash or (is_whole and merkle_root(hashes) != receipt.merkle_root):
            raise ReceiptRefused(f"the receipt covers other records {receipt.first_seq}–{receipt.last_seq} than these")


def _insert(connection: Connection, head: Head, calls: Sequence[tuple[Unsealed, ...]]) -> list[tuple[Record, ...]]:
    """Write the records of all *calls* behind *head*."""
    seq, prev = head.seq, head.hash
    written, rows = list[tuple[Record, ...]](), list[tuple[int, str, bytes]]()
    for call in calls:
        records = []
        for unsealed in call:
            seq += 1
            record, body = unsealed.seal(seq, prev)
            prev = record.hash
            records.append(record)
            rows.append((seq, prev, body))
        written.append(tuple(records))
    connection.exec_driver_sql(_INSERT, rows)
    return written
