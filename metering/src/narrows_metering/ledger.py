"""
The usage ledger: an append-only chain of records in one SQLite file on the customer's machine.

`append` returns once the record is on the disk, so a crash can lose a stream but never a charge. Several threads and
processes may append to one ledger; each append reads the head and writes the row in one transaction. Nothing here
talks to the network (see `report`), and nothing damaged is repaired: it is named, and what precedes it stays readable.

What the file alone cannot show is its own past: an older copy of it is a valid, shorter ledger. Receipts show that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import decode_base64url
from sqlalchemy import Connection, column, func, insert, select, table

from narrows_metering import ledger_file
from narrows_metering.canonical import read_json
from narrows_metering.chain import Head, follow_chain, merkle_root
from narrows_metering.errors import ChainBroken, LedgerDamaged, ReceiptRefused, RecordRefused
from narrows_metering.receipt import Receipt
from narrows_metering.record import SEQUENCE_MAX, Kind, Record, genesis

TAIL_RECORDS: Final = 64  # How many of the last records opening checks; `verify` checks all.
PAGE_RECORDS: Final = 1_000  # Read per transaction, so that a slow reader never holds back the write-ahead log.

_LEDGER = table("ledger", column("format"), column("installation_id"), column("head_seq"), column("head_hash"))
_RECORDS = table("records", column("seq"), column("hash"), column("body"))
_RECEIPTS = table("receipts", column("last_seq"), column("token"), column("digest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to become a record, for `Ledger.append_all`."""

    kind: Kind
    payload: Mapping[str, object]
    time: datetime  # Aware.


class Ledger:
    """
    An open ledger. Open it with `Ledger.open`, close it or use it as a context manager.

    >>> with Ledger.open(path, installation_id=installation_id) as ledger:
    ...     record = ledger.append(Kind.ENCODE, payload, time=now)

    Safe to share between threads, and across a fork: connections are closed before it and opened again on demand.
    """

    def __init__(self, file: ledger_file.LedgerFile, *, path: Path, installation_id: str) -> None:
        self._file = file
        self.path = path
        self.installation_id = installation_id

    @classmethod
    def open(cls, path: Path, *, installation_id: str, lock_timeout: timedelta = ledger_file.LOCK_TIMEOUT) -> Self:
        """
        Open the ledger at *path*, or begin it there (mode 0600; the folder must exist).

        An append waits at most *lock_timeout* for those of other processes.

        Raises LedgerDamaged if the file is not a ledger or its last records do not hold, LedgerUnavailable if it
        belongs to another installation or cannot be used now.
        """
        file = ledger_file.open_file(path, installation_id=installation_id, lock_timeout=lock_timeout)
        ledger = cls(file, path=path, installation_id=installation_id)
        try:
            ledger._check_tail()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Close the file. A closed ledger refuses everything else."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, kind: Kind, payload: Mapping[str, object], *, time: datetime) -> Record:
        """
        Append one record and return it once it is on the disk.

        Raises RecordRefused for a payload that breaks the rules, LedgerUnavailable if nothing could be written.
        """
        (record,) = self.append_all([Entry(kind=kind, payload=payload, time=time)])
        return record

    def append_all(self, entries: Iterable[Entry]) -> tuple[Record, ...]:
        """Append all *entries* or none, with one wait for the disk. Raises as `append` does."""
        wanted = tuple(entries)
        if not wanted:
            return ()
        records = []
        with self._file.transaction("BEGIN IMMEDIATE") as connection:
            # The numbers are taken inside the transaction that uses them: another process may have appended.
            head = _head(connection)
            for entry in wanted:
                record = Record.seal(head.seq + 1, head.hash, entry.time, entry.kind, entry.payload)
                records.append(record)
                head = Head(seq=record.seq, hash=record.hash)
            rows = [{"seq": r.seq, "hash": r.hash, "body": r.canonical_bytes()} for r in records]
            connection.execute(insert(_RECORDS), rows)
        return tuple(records)

    def head(self) -> Head:
        """The last record's number and hash; 0 and the genesis hash while there is none."""
        with self._file.transaction("BEGIN") as connection:
            return _head(connection)

    def records(self, after: int = 0, limit: int | None = None) -> Iterator[Record]:
        """
        The records with numbers above *after*, in order, at most *limit*; each is checked before it is handed out.

        Raises LedgerDamaged at the first record that cannot be trusted, after the good ones before it.
        """
        end = self.head().seq if limit is None else min(self.head().seq, after + limit)
        if after >= end:
            return
        head = self._head_at(after)
        while head.seq < end:
            last = min(end, head.seq + PAGE_RECORDS)
            stored = (_stored_record(*row) for row in self._rows(head.seq + 1, last))
            try:
                for record in follow_chain(stored, head):
                    yield record
                    head = Head(seq=record.seq, hash=record.hash)
            except ChainBroken as broken:
                raise LedgerDamaged(broken.sequence, broken.reason) from None
            if head.seq != last:
                raise LedgerDamaged(head.seq + 1, "missing from the file, or unreadable")

    def verify(self) -> Head:
        """
        Check everything: the database's structure, every record, the head, every receipt.

        Raises LedgerDamaged naming the first record that cannot be trusted.
        """
        last = Head(seq=0, hash=genesis(self.installation_id))
        for record in self.records():
            last = Head(seq=record.seq, hash=record.hash)
        with self._file.transaction("BEGIN") as connection:
            ledger_file.check_structure(connection)
            _check_head(connection, self.installation_id)
            for row in connection.execute(select(_RECEIPTS)):
                _stored_receipt(*row)
        return last

    def acknowledge(self, receipt_token: str, receipt: Receipt) -> None:
        """
        Keep a receipt that `read_receipt` has verified. The same or an older one again changes nothing.

        Raises ReceiptRefused if it is another installation's, leaves a gap after what is acknowledged, or covers other
        records than this ledger has: then the ledger was copied or restored, and has to begin anew as another.
        """
        if _receipt_inside(receipt_token) != receipt:
            raise ReceiptRefused("the token does not hold this receipt")
        if receipt.installation_id != self.installation_id:
            raise ReceiptRefused("the receipt is for another installation")
        if receipt.last_seq > self.head().seq:
            raise ReceiptRefused(f"the receipt covers record {receipt.last_seq}, which this ledger does not have")
        count = receipt.last_seq - receipt.first_seq + 1
        hashes = [record.hash for record in self.records(receipt.first_seq - 1, count)]
        if hashes[-1] != receipt.head_hash or merkle_root(hashes) != receipt.merkle_root:
            raise ReceiptRefused(f"the receipt covers other records {receipt.first_seq}–{receipt.last_seq} than these")
        with self._file.transaction("BEGIN IMMEDIATE") as connection:
            done = _acknowledged(connection)
            if receipt.last_seq <= done:
                return
            if receipt.first_seq > done + 1:
                raise ReceiptRefused(f"the receipt begins at {receipt.first_seq}, but only {done} is acknowledged")
            row = {"last_seq": receipt.last_seq, "token": receipt_token, "digest": _digest(receipt_token)}
            connection.execute(insert(_RECEIPTS), [row])

    def acknowledged(self) -> int:
        """The number of the last record that a receipt covers; 0 while there is none."""
        with self._file.transaction("BEGIN") as connection:
            return _acknowledged(connection)

    def latest_receipt(self) -> Receipt | None:
        """The receipt that covers the last acknowledged record."""
        with self._file.transaction("BEGIN") as connection:
            row = connection.execute(select(_RECEIPTS).order_by(_RECEIPTS.c.last_seq.desc()).limit(1)).first()
        return None if row is None else _stored_receipt(*row)

    def _head_at(self, seq: int) -> Head:
        """The link that record *seq* + 1 has to continue."""
        if seq < 1:
            return Head(seq=0, hash=genesis(self.installation_id))
        with self._file.transaction("BEGIN", first_doubtful=seq) as connection:
            text = connection.execute(select(_RECORDS.c.hash).where(_RECORDS.c.seq == seq)).scalar_one_or_none()
            if text is None:
                before = select(func.max(_RECORDS.c.seq)).where(_RECORDS.c.seq < seq)
                last = connection.execute(before).scalar_one() or 0
                raise LedgerDamaged(last + 1, "missing from the file")
        return Head(seq=seq, hash=str(text))

    def _rows(self, first: int, last: int) -> list[tuple[object, object, object]]:
        """The rows of records *first* to *last*; those before the first unreadable one where the file is damaged."""
        query = select(_RECORDS).where(_RECORDS.c.seq >= first, _RECORDS.c.seq <= last).order_by(_RECORDS.c.seq)
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

    def _check_tail(self) -> None:
        with self._file.transaction("BEGIN") as connection:
            _check_head(connection, self.installation_id)
            head = _head(connection)
        for _ in self.records(after=max(0, head.seq - TAIL_RECORDS)):
            pass  # Reading a record checks it.


def _check_head(connection: Connection, installation_id: str) -> None:
    """Check that the head is that of the last row, and that no receipt covers more. Raises LedgerDamaged."""
    head = _head(connection)
    last = connection.execute(select(_RECORDS.c.seq, _RECORDS.c.hash).order_by(_RECORDS.c.seq.desc()).limit(1)).first()
    seq, text = (0, genesis(installation_id)) if last is None else last
    if seq < head.seq:
        raise LedgerDamaged(seq + 1, f"missing from the file, whose head is {head.seq}")
    if seq > head.seq or text != head.hash:
        raise LedgerDamaged(head.seq + (seq > head.seq), "not what the head of the ledger says")
    if _acknowledged(connection) > head.seq:
        raise LedgerDamaged(head.seq + 1, f"missing, although a receipt covers up to {_acknowledged(connection)}")


def _head(connection: Connection) -> Head:
    seq, text = connection.execute(select(_LEDGER.c.head_seq, _LEDGER.c.head_hash)).one()
    if type(seq) is not int or not 0 <= seq <= SEQUENCE_MAX or type(text) is not str:
        raise LedgerDamaged(None, "the head of the ledger is unreadable")
    return Head(seq=seq, hash=text)


def _acknowledged(connection: Connection) -> int:
    last_seq = connection.execute(select(func.max(_RECEIPTS.c.last_seq))).scalar_one()
    return int(last_seq or 0)


def _stored_record(seq: object, record_hash: object, body: object) -> Record:
    """A row as a record. Its number and hash come from the row, so that `follow_chain` holds them against the body."""
    at = seq if type(seq) is int else None
    if not isinstance(body, bytes):
        raise LedgerDamaged(at, "its body is not a run of bytes")
    try:
        document = read_json(body)
        record = Record.from_dict({**document, "hash": record_hash} if isinstance(document, dict) else document)
    except (ValueError, RecordRefused) as error:
        raise LedgerDamaged(at, f"unreadable: {error}") from None
    if record.seq != seq:
        raise LedgerDamaged(at, f"its body says that it is record {record.seq}")
    return record


def _stored_receipt(last_seq: object, token: object, digest: object) -> Receipt:
    at = last_seq if type(last_seq) is int else None
    if not isinstance(token, str) or digest != _digest(token):
        raise LedgerDamaged(at, "the receipt for it was altered")
    receipt = _receipt_inside(token)
    if receipt.last_seq != last_seq:
        raise LedgerDamaged(at, f"the receipt for it covers up to {receipt.last_seq}")
    return receipt


def _receipt_inside(token: str) -> Receipt:
    """The receipt that *token* holds, for tokens whose signature was verified when they came."""
    try:
        claims = read_json(decode_base64url(token.split(".")[1], "the payload"))
    except (IndexError, ValueError, SignatureRefused) as error:
        raise ReceiptRefused(f"the token is malformed: {error}") from None
    if not isinstance(claims, dict):
        raise ReceiptRefused("the token holds no claims")
    return Receipt.from_claims(claims)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
