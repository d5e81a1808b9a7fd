"""
Power cuts, played back: what nobody waited for is lost, torn or reordered, and no acknowledged record is among it.

The disk is the model of `tests.simulation.disk`. Each cut hits a random write or wait; the ledger is then opened
again as the next process would, checked as a whole, and written on until the next cut.
"""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from narrows_metering.errors import LedgerDamaged, LedgerUnavailable
from narrows_metering.ledger import Entry, Ledger
from narrows_metering.record import Kind, Record
from narrows_metering.testing import NOW, a_receipt, a_receipt_token, an_installation_id

from ..simulation.disk import Disk

INSTALLATION: Final = an_installation_id()
OPERATIONS_MAX: Final = 60  # Writes and waits until the lights go out.
CUTS_PER_LEDGER_MAX: Final = 12


@dataclass(slots=True)
class CutReport:
    """What all cuts came to."""

    cuts: int = 0
    writes_lost: int = 0  # Or torn, or reordered.
    acknowledged: int = 0
    receipts: int = 0
    differences: list[str] = field(default_factory=list)


def cut_often(folder: Path, *, cuts: int, seed: int) -> CutReport:
    """Cut the power *cuts* times, over as many ledgers in *folder* as it takes."""
    chance, report, ledgers = random.Random(seed), CutReport(), 0
    while report.cuts < cuts and not report.differences:
        ledgers += 1
        here = folder / f"ledger-{ledgers}"
        here.mkdir()
        with Disk(here) as disk:
            _one_ledger(disk, chance, report, chance.randrange(1, CUTS_PER_LEDGER_MAX), cuts)
        shutil.rmtree(here)
    return report


def _one_ledger(disk: Disk, chance: random.Random, report: CutReport, times: int, cuts: int) -> None:
    kept: list[Record] = []
    covered = 0
    for _ in range(min(times, cuts - report.cuts)):
        disk.dies_after = disk.operations + chance.randrange(1, OPERATIONS_MAX)
        covered = _write_until_dark(disk, chance, kept, covered)
        report.writes_lost += disk.cut_power(chance)
        report.cuts += 1
        try:
            with Ledger.open(disk.folder / "ledger.sqlite", installation_id=INSTALLATION) as ledger:
                ledger.verify()
                found, acknowledged = list(ledger.records()), ledger.acknowledged()
        except LedgerDamaged as damaged:
            report.differences.append(f"cut {report.cuts}: {damaged}")
            return
        if found[: len(kept)] != kept:
            report.differences.append(
                f"cut {report.cuts}: {len(kept)} records were acknowledged, {len(found)} are there"
            )
        if acknowledged < covered:
            report.differences.append(f"cut {report.cuts}: a receipt up to {covered} is lost")
        kept[:], covered = found, acknowledged
    report.acknowledged += len(kept)
    report.receipts += covered > 0


def _write_until_dark(disk: Disk, chance: random.Random, kept: list[Record], covered: int) -> int:
    """Append and acknowledge until the disk is dead; *kept* grows by what was acknowledged. Returns receipts' end."""
    while True:
        try:
            ledger = Ledger.open(disk.folder / "ledger.sqlite", installation_id=INSTALLATION)
        except (LedgerUnavailable, LedgerDamaged):
            if disk.is_dead:
                return covered
            raise
        with suppress(LedgerUnavailable, LedgerDamaged), ledger:
            for _ in range(chance.randrange(1, 12)):
                if chance.random() < 0.2 and len(kept) > covered:
                    receipt = a_receipt(kept[covered:], nonce=f"nonce-number-{len(kept):010}")
                    ledger.acknowledge(a_receipt_token(receipt), receipt)
                    covered = len(kept)
                else:
                    count = chance.choice((1, 1, 1, 5, 40))
                    entries = [Entry(kind=Kind.GAP, payload={"n": n}, time=NOW) for n in range(count)]
                    kept += ledger.append_all(entries)
        if disk.is_dead:
            return covered
