"""
Everything that can go wrong in metering, as one tree.

    MeteringError                 catch-all for callers; never raised itself
    ├── RecordRefused             what was given is not a record
    ├── ChainBroken               .sequence   records that do not follow each other
    ├── LedgerDamaged             .sequence   the file on disk is not what was written
    ├── LedgerUnavailable         busy, full, read-only or another installation's; nothing was written
    │   └── DiskFull                  there is no room for what was to be written
    ├── LedgerRetired             .successor  another installation has taken this ledger's place
    ├── RecordsPruned             .first_kept_seq   records that were asked for are no longer kept
    ├── ReportUnreadable          bytes that are not a report
    ├── ReportRefused             a readable report that its signature or its chain does not support
    ├── ReceiptRefused            a receipt that is not the vendor's, or not for this ledger
    ├── ProofRefused              a tree head or a proof of the transparency log that does not hold
    ├── StatementUnreadable       a document that is not a statement, or not its evidence
    ├── StatementRefused          a statement whose signature or whose text does not hold
    ├── StatementImpossible       more traffic than one statement can hold
    └── ImportFailed              .path .line .field   a delivery log that cannot be trusted as a whole

An expected outcome (qualities that do not overlap, a month without savings) is a value, not an error.
"""

from __future__ import annotations

from pathlib import Path


class MeteringError(Exception):
    """Catches everything that this distribution raises on purpose."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class RecordRefused(MeteringError):
    """Met when a payload or a stored record breaks the rules of a record; *detail* names the member."""


class ChainBroken(MeteringError):
    """Met when a run of records was altered, reordered, shortened in the middle or mixed with another."""

    def __init__(self, sequence: int, detail: str) -> None:
        super().__init__(f"record {sequence}: {detail}")
        self.sequence = sequence
        self.reason = detail


class LedgerDamaged(MeteringError):
    """
    Met when the ledger on disk is not what was written to it. Nothing is repaired.

    `sequence` is the first record that cannot be trusted; everything before it can. It is None when the damage lies
    in the file itself and no record can be named.
    """

    def __init__(self, sequence: int | None, detail: str) -> None:
        super().__init__(detail if sequence is None else f"record {sequence}: {detail}")
        self.sequence = sequence


class LedgerUnavailable(MeteringError):
    """Met when the ledger cannot be used now: locked too long, disk full, read-only, closed. Nothing was written."""


class DiskFull(LedgerUnavailable):
    """Met when the disk has no room for what was to be written. Nothing was written."""


class LedgerRetired(MeteringError):
    """Met when a record is appended to a ledger whose place another has taken. It belongs into the *successor's*."""

    def __init__(self, successor: str) -> None:
        super().__init__(f"this ledger is retired: the installation goes on as {successor}")
        self.successor = successor


class RecordsPruned(MeteringError):
    """Met when records are asked for that were removed under a receipt, their retention being over."""

    def __init__(self, first_kept_seq: int) -> None:
        super().__init__(f"the records before {first_kept_seq} are no longer kept; receipts cover them")
        self.first_kept_seq = first_kept_seq


class ReportUnreadable(MeteringError):
    """Met when bytes are not a report, or exceed one of its limits; *detail* names the member."""


class ReportRefused(MeteringError):
    """Met when a report is readable but its signature, its identity or its chain does not hold."""


class ReceiptRefused(MeteringError):
    """Met when a receipt is not signed by a known key, is malformed, or does not describe this ledger."""


class ProofRefused(MeteringError):
    """Met when the transparency log does not prove what it should: a receipt is in it, or it has only grown."""


class StatementUnreadable(MeteringError):
    """Met when a file is not a statement or not the evidence of one; *detail* names file and member."""


class StatementRefused(MeteringError):
    """Met when a readable statement is not what was signed; *detail* begins with the pointer to what does not hold."""


class StatementImpossible(MeteringError):
    """Met when a month's totals exceed what canonical JSON can write exactly, 2^53 − 1 (nine petabytes)."""


class ImportFailed(MeteringError):
    """
    Met when a delivery log has a line that cannot be read. Nothing of the file counts then.

    `line` counts from 1; `field` is the log's own name for the column, or None when the whole line or file is at fault.
    """

    def __init__(self, path: Path, line: int, field: str | None, detail: str) -> None:
        where = f"{path}, line {line}" + (f", field {field}" if field else "")
        super().__init__(f"{where}: {detail}")
        self.path = path
        self.line = line
        self.field = field
