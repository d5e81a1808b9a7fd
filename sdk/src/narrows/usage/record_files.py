"""
This machine's records as files, one for each installation: what `narrows-recompute` draws a statement up from.

They come from the ledgers alone, so a customer checks a statement without a word of the vendor's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from narrows_metering.evidence import write_evidence
from narrows_metering.record import Record

from narrows.errors import UsageError
from narrows.settings import Settings
from narrows.usage.machine import open_meter, open_retired


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFile:
    """What one installation has recorded, up to *last_seq*."""

    installation: str
    last_seq: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The records of one installation that are its own, from *first_seq* to *last_seq*."""

    first_seq: int
    last_seq: int
    records: Iterator[Record]


@contextmanager
def own_records(settings: Settings) -> Iterator[dict[str, Run]]:
    """By installation, what it and those before it in this state folder have recorded. Raises LedgerDamaged."""
    with open_meter(settings) as meter, open_retired(settings) as earlier:
        ledgers = {one.installation.id: one.ledger for one in earlier} | {meter.installation.id: meter.ledger}
        runs = dict[str, Run]()
        for name, ledger in ledgers.items():
            first, last = ledger.pruned().seq + 1, ledger.own_seq()
            runs[name] = Run(first_seq=first, last_seq=last, records=ledger.records(limit=max(0, last + 1 - first)))
        yield runs


def write_records(folder: Path, *, settings: Settings | None = None) -> tuple[RecordFile, ...]:
    """
    Write a file for each installation into *folder*, which is made if need be.

    A file is there as a whole or not at all. Raises UsageError if one can't be written, or if records were removed
    from the ledger that a statement may rest on; LedgerDamaged.
    """
    with own_records(settings or Settings.read()) as runs:
        for name, run in runs.items():
            if run.first_seq > 1:
                raise UsageError(
                    f"the records up to {run.first_seq - 1} of the installation {name} are not kept any more: the "
                    "audit pack of an invoice has them"
                )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".", dir=folder) as beside:
                written = [
                    (name, run.last_seq, write_evidence(Path(beside), name, run.records)) for name, run in runs.items()
                ]
                return tuple(
                    RecordFile(installation=name, last_seq=last_seq, path=path.replace(folder / path.name))
                    for name, last_seq, path in written
                )
        except OSError as error:
            raise UsageError(f"can't write into {folder}: {error.strerror}") from error
