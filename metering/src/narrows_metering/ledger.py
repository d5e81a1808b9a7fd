"""
The usage ledger: an append-only chain of records in one SQLite file on the customer's machine.

`append` returns once the record is on the disk, so a crash can lose a stream but never a charge. Several threads and
processes may append to one ledger; threads that come at the same moment share one wait for the disk. Nothing here talks
to the network (see `report`), and nothing damaged is repaired: it is named, and what precedes it stays readable.

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

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, delete, func, insert, select, update

from narrows_metering import ledger_file, ledger_rows, ledger_schema
from narrows_metering.chain import Head, follow_chain, merkle_root
from narrows_metering.commit_queue import CommitQueue
from narrows_metering.errors import (
    ChainBroken,
    DiskFull,
    LedgerDamaged,
    LedgerUnavailable,
    ReceiptRefused,
    RecordsPruned,
)
from narrows_metering.ledger_rows import PRUNED, RECEIPTS, RECORDS, RETIREMENT
from narrows_metering.receipt import Receipt, read_receipt
from narrows_metering.record import Kind, Record, Unsealed
from narrows_metering.reserve import Reserve
from narrows_metering.witness import Witness

TAIL_RECORDS: Final = 64  # How many of the last records opening checks; `verify` checks all.
PAGE_RECORDS: Final = 1_000  # Read per transaction, so that a slow reader never holds back the write-ahead log.
GROUP_CALLS_MAX: Final = 256  # Calls of `append` that share one commit.
RETENTION: Final = timedelta(days=400)  # How long records stay after their receipt: a year's account and its audit.

_INSERT: Final = "INSERT INTO records VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to become a record, for `Ledger.append_all`."""

    kind: Kind
    payload: Mapping[str, object]
    time: datetime  # Aware.


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReceipt:
    """A receipt with the token that it came in, which is what convinces others."""

    token: str
    receipt: Receipt


class Ledger:
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
        self._file = file
        self.path = path
        self.installation_id = installation_id
        self._witness = witness
        self._reserve = reserve
        self._commits = CommitQueue[tuple[Unsealed, ...], tuple[Record, ...]](self._commit, group_max=GROUP_CALLS_MAX)
        ledger_file.hold_still_in_forks(self._commits)
        self._is_damaged = False
        self._own_seq: int | None = None

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

    def head(self) -> Head:
        """The last record's number and hash; 0 and the genesis hash while there is none."""
        with self._file.transaction("BEGIN") as connection:
            return ledger_rows.read_head(connection)

    def pruned(self) -> Head:
        """What the first record that is kept continues; 0 and the genesis hash while nothing was pruned."""
        with self._file.transaction("BEGIN") as connection:
            return ledger_rows.read_pruned(connection)

    def head_at(self, seq: int) -> Head:
        """The link that record *seq* + 1 continues. Raises RecordsPruned if it is not known any more."""
        pruned = self.pruned()
        if seq == pruned.seq:
            return pruned
        self._check_kept(seq + 1)
        with self._file.transaction("BEGIN", first_doubtful=seq) as connection:
            text = ledger_rows.read_hash(connection, seq)
            if text is None:
                before = select(func.max(RECORDS.c.seq)).where(RECORDS.c.seq < seq)
                last = connection.execute(before).scalar_one() or pruned.seq
                raise LedgerDamaged(last + 1, "missing from the file")
        return Head(seq=seq, hash=text)

    def records(self, after: int | None = None, limit: int | None = None) -> Iterator[Record]:
        """
        The records with numbers above *after*, in order, at most *limit*; each is checked before it is handed out.
        Without *after*, all that are kept.

        Raises RecordsPruned if they are no longer kept, LedgerDamaged at the first record that cannot be trusted, after
        the good ones before it.
        """
        pruned = self.pruned()
        after = pruned.seq if after is None else max(0, after)
        last = self.last_seq()
        end = last if limit is None else min(last, after + limit)
        if after >= end:
            return
        head = self.head_at(after)
        while head.seq < end:
            last = min(end, head.seq + PAGE_RECORDS)
            stored = (ledger_rows.stored_record(*row) for row in self._rows(head.seq + 1, last))
            try:
                for record in follow_chain(stored, head):
                    yield record
                    head = Head(seq=record.seq, hash=record.hash)
            except ChainBroken as broken:
                self._check_kept(broken.sequence)
                raise LedgerDamaged(broken.sequence, broken.reason) from None
            if head.seq != last:
                self._check_kept(head.seq + 1)
                raise LedgerDamaged(head.seq + 1, "missing from the file, or unreadable")

    def lifecycle(self, limit: int) -> list[Record]:
        """The last *limit* LIFECYCLE records, newest first. Raises as `records` does."""
        with self._file.transaction("BEGIN") as connection:
            numbers = ledger_rows.newest_lifecycle(connection, limit)
        return [record for seq in numbers for record in self.records(seq - 1, 1)]

    def verify(self, receipt_keys: Mapping[str, Ed25519PublicKey] | None = None) -> Head:
        """
        Check everything: the database's structure, every record, both ends, every receipt – with *receipt_keys* (by
        kid) also that the vendor signed it, which is what fixes the records that were pruned.

        Raises LedgerDamaged naming the first record that cannot be trusted, ReceiptRefused for a signature.
        """
        receipts = self.receipts()
        for kept in receipts:
            if receipt_keys is not None:
                read_receipt(kept.token, receipt_keys)
        promised = {kept.receipt.last_seq: kept.receipt.head_hash for kept in receipts}
        last = self.pruned()
        for record in self.records(last.seq):
            last = Head(seq=record.seq, hash=record.hash)
            if promised.get(record.seq, record.hash) != record.hash:
                raise LedgerDamaged(record.seq, "not the record that its receipt is for")
        with self._file.transaction("BEGIN") as connection:
            ledger_schema.check_structure(connection)
            ledger_rows.check_ends(connection, self.installation_id)
        return last

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

    def acknowledged(self) -> int:
        """The number of the last record that a receipt covers; 0 while there is none. Raises as `latest_receipt`."""
        receipt = self.latest_receipt()
        return receipt.last_seq if receipt else 0

    def receipts(self) -> tuple[KeptReceipt, ...]:
        """All receipts, in order. They stay when the records that they cover are pruned. Raises LedgerDamaged."""
        with self._file.transaction("BEGIN") as connection:
            rows = connection.execute(select(RECEIPTS).order_by(RECEIPTS.c.last_seq)).all()
        return tuple(KeptReceipt(token=row.token, receipt=ledger_rows.stored_receipt(*row)) for row in rows)

    def latest_receipt(self) -> Receipt | None:
        """
        The receipt that covers the last acknowledged record. Raises LedgerDamaged if it was altered.

        Of a ledger that a successor has replaced, perhaps for that very reason, altered receipts are passed over: what
        they covered is reported again, which changes nothing.
        """
        with self._file.transaction("BEGIN") as connection:
            is_replaced = connection.execute(select(RETIREMENT.c.own_seq)).first() is not None
            skips_altered = self._is_damaged or is_replaced
            return ledger_rows.read_latest_receipt(connection, skips_altered=skips_altered)

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

    def successor(self) -> str | None:
        """The installation that has taken this ledger's place, if any."""
        with self._file.transaction("BEGIN") as connection:
            text = connection.execute(select(RETIREMENT.c.successor)).scalar_one_or_none()
        return None if text is None else str(text)

    def own_seq(self) -> int:
        """The last record that is this installation's to report: its head, or where its successor took over."""
        if self._own_seq is not None:
            return self._own_seq
        with self._file.transaction("BEGIN") as connection:
            own = connection.execute(select(RETIREMENT.c.own_seq)).scalar_one_or_none()
            return ledger_rows.read_head(connection).seq if own is None else ledger_rows.number(own)

    def fold(self) -> None:
        """Bring everything into the file at `path`, so that it can be moved once closed. Raises LedgerUnavailable."""
        self._file.fold()

    def require_room(self) -> None:
        """See to it that there will be room for the record of what starts now. Raises DiskFull."""
        if self._reserve is not None:
            self._reserve.require_room()

    def good_seq(self) -> int:
        """The last record that can be trusted."""
        seq = self.pruned().seq
        try:
            for record in self.records(seq):
                seq = record.seq
        except LedgerDamaged:
            pass  # What is sought is where this happens.
        return seq

    def last_seq(self) -> int:
        """The last record that there is, good or not."""
        if not self._is_damaged:
            return self.head().seq
        with self._file.transaction("BEGIN") as connection:  # The head may be what is damaged.
            return ledger_rows.read_last_seq(connection)

    def _check_kept(self, seq: int) -> None:
        """Raise RecordsPruned if *seq* was pruned: also meanwhile, while somebody was reading."""
        pruned = self.pruned()
        if seq <= pruned.seq:
            raise RecordsPruned(pruned.seq + 1)

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

    def _rows(self, first: int, last: int) -> list[tuple[object, object, object]]:
        """The rows of records *first* to *last*; those before the first unreadable one where the file is damaged."""
        query = select(RECORDS).where(RECORDS.c.seq >= first, RECORDS.c.seq <= last).order_by(RECORDS.c.seq)
        try:
            with self._file.transaction("BEGIN", first_doubtful=first) as connection:
                return [tuple(row) for row in connection.execute(query)]
        except LedgerDamaged:
            if first == last:
                raise
        rows: list[tuple[object, object, object]] = []
        for seq in range(first, last + 1):
            try:
                rows += self._rows(seq, seq)
            except LedgerDamaged:
                break
        return rows

    def _check_tail(self, seen: Head | None) -> None:
        with self._file.transaction("BEGIN") as connection:
            ledger_rows.check_ends(connection, self.installation_id)
            head, pruned = ledger_rows.read_head(connection), ledger_rows.read_pruned(connection)
            if seen is not None:
                if seen.seq > head.seq:
                    raise LedgerDamaged(head.seq + 1, f"missing: this machine had {seen.seq} records")
                if seen.seq > pruned.seq and ledger_rows.read_hash(connection, seen.seq) != seen.hash:
                    raise LedgerDamaged(seen.seq, "not the record that this machine had")
        for _ in self.records(after=max(pruned.seq, head.seq - TAIL_RECORDS)):
            pass  # Reading a record checks it.


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
