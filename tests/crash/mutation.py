"""
Every byte of what Narrows keeps and sends, changed one at a time: it is noticed, or it never meant anything.

A change is noticed when reading refuses. It meant nothing when everything that can be read (records, receipts, head)
is what it was: the free space of a database's pages, or a counter that only caches. Those are counted by the name
that the SQLite file format gives the place (https://sqlite.org/fileformat2.html), so that nobody has to believe it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from narrows_licensing.signature import thumbprint
from narrows_metering.errors import MeteringError
from narrows_metering.ledger import Entry, Ledger
from narrows_metering.receipt import read_receipt
from narrows_metering.record import Kind
from narrows_metering.report import check_report, next_report
from narrows_metering.testing import (
    NOW,
    a_delivery,
    a_key,
    a_receipt,
    a_receipt_token,
    an_encode,
    an_evidence,
    an_installation_id,
)

INSTALLATION: Final = an_installation_id()
_HEADER: Final = (  # Where each field of a database's first 100 bytes ends, and its name.
    (16, "magic"),
    (18, "page size"),
    (20, "format versions"),
    (21, "reserved space"),
    (24, "payload fractions"),
    (28, "change counter"),
    (32, "size in pages"),
    (40, "free list"),
    (44, "schema cookie"),
    (48, "schema format"),
    (52, "cache size"),
    (56, "largest root page"),
    (60, "text encoding"),
    (64, "user version"),
    (68, "incremental vacuum"),
    (72, "application id"),
    (92, "reserved for later"),
    (96, "version-valid-for"),
    (100, "version of SQLite"),
)


@dataclass(slots=True)
class MutationReport:
    """What became of the changes of one thing."""

    what: str
    size_bytes: int
    changes: int = 0
    noticed: int = 0
    meaningless: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)  # Changes that altered what is read, and were not noticed.


def a_small_ledger(path: Path) -> None:
    """A ledger of three records, the first of them acknowledged, closed: one file and nothing beside it."""
    with Ledger.open(path, installation_id=INSTALLATION) as ledger:
        kinds = ((Kind.ENCODE, an_encode()), (Kind.EVIDENCE, an_evidence()), (Kind.DELIVERY, a_delivery()))
        records = ledger.append_all([Entry(kind=kind, payload=payload, time=NOW) for kind, payload in kinds])
        receipt = a_receipt(list(records[:1]))
        ledger.acknowledge(a_receipt_token(receipt), receipt)


def mutate_ledger(folder: Path, positions: Iterable[int] | None = None, *, seed: int = 1) -> MutationReport:
    """Change each byte at *positions* (all of them by default) of a small ledger, to a random other value."""
    original = folder / "original.sqlite"
    a_small_ledger(original)
    content = original.read_bytes()
    wanted = _read_ledger(original)
    report = MutationReport("ledger", len(content))
    chance, path = random.Random(seed), folder / "mutated.sqlite"
    for position in positions if positions is not None else range(len(content)):
        mutated = bytearray(content)
        mutated[position] ^= chance.randrange(1, 256)
        path.write_bytes(mutated)
        report.changes += 1
        try:
            found = _read_ledger(path)
        except MeteringError:
            report.noticed += 1
        else:
            if found == wanted:
                report.meaningless[name_place(content, position)] += 1
            else:
                report.differences.append(f"byte {position} ({name_place(content, position)}) changed what is read")
        for beside in folder.glob("mutated.sqlite*"):
            beside.unlink()
    return report


def ledger_size(folder: Path) -> int:
    """How many bytes `mutate_ledger` has to change."""
    path = folder / "sized.sqlite"
    a_small_ledger(path)
    return path.stat().st_size


def mutate_report(folder: Path) -> MutationReport:
    """Flip every bit of a report's body, and of its signature."""
    with Ledger.open(folder / "report.sqlite", installation_id=INSTALLATION) as ledger:
        ledger.append(Kind.DELIVERY, a_delivery(), time=NOW)
        upcoming = next_report(ledger, key=a_key(), license_token="header.claims.signature", sdk="narrows 0.1.0")
    assert upcoming is not None
    body, signature = upcoming
    report = MutationReport("report", len(body) + len(signature))
    _judge(report, body, lambda changed: check_report(changed, signature))
    _judge(report, signature.encode(), lambda changed: check_report(body, changed.decode("latin-1")))
    return report


def mutate_receipt(folder: Path) -> MutationReport:
    """Flip every bit of a receipt's token."""
    with Ledger.open(folder / "receipt.sqlite", installation_id=INSTALLATION) as ledger:
        record = ledger.append(Kind.DELIVERY, a_delivery(), time=NOW)
    token = a_receipt_token(a_receipt([record]))
    keys = {thumbprint(a_key("server").public_key()): a_key("server").public_key()}
    report = MutationReport("receipt", len(token))
    _judge(report, token.encode(), lambda changed: read_receipt(changed.decode("latin-1"), keys))
    return report


def _judge(report: MutationReport, content: bytes, read: Callable[[bytes], object]) -> None:
    wanted = read(content)
    for position, changed in _flips(content):
        report.changes += 1
        try:
            found = read(changed)
        except MeteringError:
            report.noticed += 1
        else:
            # A token or a signature that reads as the same in two spellings would not harm, but there are none.
            same = "the same" if found == wanted else "something else"
            report.differences.append(f"{report.what}: byte {position} changed, and it reads as {same}")


def _flips(content: bytes) -> Iterator[tuple[int, bytes]]:
    for position in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[position] ^= 1 << bit
            yield position, bytes(changed)


def _read_ledger(path: Path) -> tuple[object, ...]:
    """Everything that a ledger has to say, once it says that it is whole."""
    with Ledger.open(path, installation_id=INSTALLATION) as ledger:
        head = ledger.verify()
        return head, ledger.head(), tuple(ledger.records()), ledger.acknowledged(), ledger.latest_receipt()


def name_place(content: bytes, position: int) -> str:
    """What the file format calls the byte at *position*."""
    if position < _HEADER[-1][0]:
        return "header: " + next(name for end, name in _HEADER if position < end)
    page_bytes = int.from_bytes(content[16:18], "big")
    start = position - position % page_bytes
    page = content[start : start + page_bytes]
    at, header = position - start, 100 if start == 0 else 0
    kind = page[header]
    if kind not in (2, 5, 10, 13):
        return "page without a tree (overflow or free)"
    header_bytes = 12 if kind in (2, 5) else 8
    cells = int.from_bytes(page[header + 3 : header + 5], "big")
    content_start = int.from_bytes(page[header + 5 : header + 7], "big") or 65_536
    if at < header + header_bytes:
        return "page: header" if at != header + 7 else "page: count of fragmented bytes"
    if at < header + header_bytes + 2 * cells:
        return "page: cell pointers"
    return "page: unused space" if at < content_start else "page: cells and free blocks"
