"""
What a ledger holds, in order: each record is checked before it is handed out, and damage is named where it begins.

Reading changes nothing, and as little as possible is held while it goes on, so that nobody's append waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import func, select

from narrows_metering import ledger_rows, ledger_schema
from narrows_metering.chain import Head, follow_chain
from narrows_metering.errors import ChainBroken, LedgerDamaged, RecordsPruned
from narrows_metering.ledger_file import LedgerFile
from narrows_metering.ledger_rows import RECEIPTS, RECORDS, RETIREMENT
from narrows_metering.receipt import Receipt, read_receipt
from narrows_metering.record import Record

TAIL_RECORDS: Final = 64  # How many of the last records opening checks; `verify` checks all.
PAGE_RECORDS: Final = 1_000  # Read per transaction, so that a slow reader never holds back the write-ahead log.


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReceipt:
    """A receipt with the token that it came in, which is what convinces others."""

    token: str
    receipt: Receipt


class LedgerReader:
    """The reading half of a `Ledger`, which is what is opened and closed."""

    def __init__(self, file: LedgerFile, *, path: Path, installation_id: str) -> None:
        self._file = file
        self.path = path
        self.installation_id = installation_id
        self._is_damaged = False
        self._own_seq: int | None = None

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
