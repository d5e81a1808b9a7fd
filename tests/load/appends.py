"""
How many records a second are durable on this machine's disk, by how they are written; and what the naive peer does.

The peer is what a program without a ledger would do: one INSERT and one commit per event into a plain SQLite table, as
durable as the ledger (write-ahead log, `synchronous=FULL`) and without a chain. Every figure counts records whose
append had returned; afterwards all of them are read back.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from narrows_metering.ledger import Entry, Ledger
from narrows_metering.record import Kind
from narrows_metering.testing import NOW, a_delivery, an_installation_id

INSTALLATION: Final = an_installation_id()
GROUP_RECORDS: Final = 100  # Of one call, as an importer of delivery logs makes it.
THREADS: Final = 32  # That each append one record at a time, as encoders of one process do.
PROCESSES: Final = 2

Write = Callable[[Path, float], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendRate:
    """One way of writing: what was durable, in what time, and whether all of it is there."""

    way: str
    records: int
    seconds: float
    is_complete: bool

    @property
    def per_second(self) -> float:
        return self.records / self.seconds


def measure_appends(folder: Path, *, seconds: float) -> list[AppendRate]:
    """Each way of writing, one after the other, for *seconds* each; the peer comes first."""
    rates = []
    for way, write, count in _ways():
        path = folder / f"{way.replace(' ', '-')}.sqlite"
        began = time.perf_counter()
        written = write(path, seconds)
        took = time.perf_counter() - began
        rates.append(AppendRate(way=way, records=written, seconds=took, is_complete=count(path) == written))
    return rates


def _ways() -> Iterator[tuple[str, Write, Callable[[Path], int]]]:
    yield "naive peer", _write_naively, _count_naive
    yield "one at a time", _write_singly, _count_verified
    yield "group of 100", _write_in_groups, _count_verified
    yield "32 threads", _write_in_threads, _count_verified
    yield "2 processes", _write_in_processes, _count_verified


def _write_naively(path: Path, seconds: float) -> int:
    written, until = 0, time.perf_counter() + seconds
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE event (body TEXT)"):
            connection.execute(statement)
        while time.perf_counter() < until:
            connection.execute("INSERT INTO event VALUES (?)", (json.dumps(_payload(written)),))
            written += 1
    return written


def _count_naive(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM event").fetchone()[0])


def _write_singly(path: Path, seconds: float) -> int:
    written, until = 0, time.perf_counter() + seconds
    with Ledger.open(path, installation_id=INSTALLATION) as ledger:
        while time.perf_counter() < until:
            ledger.append(Kind.DELIVERY, _payload(written), time=NOW)
            written += 1
    return written


def _write_in_groups(path: Path, seconds: float) -> int:
    written, until = 0, time.perf_counter() + seconds
    with Ledger.open(path, installation_id=INSTALLATION) as ledger:
        while time.perf_counter() < until:
            numbers = range(written, written + GROUP_RECORDS)
            ledger.append_all([Entry(kind=Kind.DELIVERY, payload=_payload(n), time=NOW) for n in numbers])
            written += GROUP_RECORDS
    return written


def _write_in_threads(path: Path, seconds: float) -> int:
    written, until = [0] * THREADS, time.perf_counter() + seconds
    with Ledger.open(path, installation_id=INSTALLATION) as ledger:

        def write(thread: int) -> None:
            while time.perf_counter() < until:
                ledger.append(Kind.DELIVERY, _payload(written[thread]), time=NOW)
                written[thread] += 1

        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return sum(written)


def _write_in_processes(path: Path, seconds: float) -> int:
    with Ledger.open(path, installation_id=INSTALLATION):
        pass
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as processes:
        list(processes.map(_settle, range(PROCESSES)))
        return sum(processes.map(_write_in_groups, [path] * PROCESSES, [seconds] * PROCESSES))


def _settle(_: int) -> None:
    """Be there, with everything imported: starting a process is not what is measured."""
    time.sleep(0.5)


def _count_verified(path: Path) -> int:
    with Ledger.open(path, installation_id=INSTALLATION) as ledger:
        return ledger.verify().seq


def _payload(number: int) -> dict[str, object]:
    return a_delivery(delivered=number, source_digest="")
