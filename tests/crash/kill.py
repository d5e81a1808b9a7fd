"""
`kill -9` in the middle of appends: several real processes with several threads each write one ledger, and all die.

Each thread writes the number of a record into a pipe after `append` returned, not before. Whatever came through the
pipe has to be in the ledger, once; what did not come through may be there, once.
"""

from __future__ import annotations

import os
import random
import select
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from narrows_metering.ledger import Entry, Ledger
from narrows_metering.record import Kind
from narrows_metering.testing import NOW, an_installation_id

INSTALLATION: Final = an_installation_id()
PROCESSES: Final = 2
THREADS: Final = 3
LIFE_SECONDS_MAX: Final = 0.03  # After the first record; long enough for some, short enough to die among them.
FIRST_RECORD_SECONDS_MAX: Final = 30.0


@dataclass(slots=True)
class KillReport:
    """What all rounds came to."""

    kills: int = 0
    acknowledged: int = 0
    unheard: int = 0  # Written although nobody was told: the process died between the disk and the answer.
    differences: list[str] = field(default_factory=list)


def kill_often(folder: Path, *, kills: int, seed: int) -> KillReport:
    """Let processes write and die until *kills* of them have, all into one ledger in *folder*."""
    chance, report = random.Random(seed), KillReport()
    path = folder / "ledger.sqlite"
    acknowledged, unheard = set[str](), set[str]()
    while report.kills < kills:
        pipes = [_start_writer(path, f"{report.kills + at}") for at in range(PROCESSES)]
        told = _await_first(pipes)
        time.sleep(chance.random() * LIFE_SECONDS_MAX)
        for process, _ in pipes:
            os.kill(process, signal.SIGKILL)
        for process, pipe in pipes:
            os.waitpid(process, 0)
            told += _drain(pipe)
            os.close(pipe)
        report.kills += len(pipes)
        names = told.decode().split()
        acknowledged.update(names)
        report.acknowledged += len(names)
        found = _read(path)
        unheard |= found.keys() - acknowledged
        report.differences += _differences(found, acknowledged)
        if report.differences:
            return report
        if chance.random() < 0.1:  # A ledger that has grown long is slow to check each time.
            path.unlink()
            acknowledged.clear()
    report.unheard = len(unheard)
    return report


def _read(path: Path) -> Counter[str]:
    with Ledger.open(path, installation_id=INSTALLATION) as ledger:
        ledger.verify()
        return Counter(str(record.payload["id"]) for record in ledger.records())


def _differences(found: Counter[str], acknowledged: set[str]) -> list[str]:
    lost = [f"record {name} was acknowledged and is lost" for name in acknowledged - found.keys()]
    return lost + [f"record {name} is there {times} times" for name, times in found.items() if times > 1]


def _start_writer(path: Path, name: str) -> tuple[int, int]:
    """A process that appends until it is killed; its id, and the pipe that it writes to."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.close(reading)
            _write_for_ever(path, name, writing)
        finally:
            os._exit(1)
    os.close(writing)
    return process, reading


def _write_for_ever(path: Path, name: str, pipe: int) -> None:
    ledger = Ledger.open(path, installation_id=INSTALLATION)

    def write(thread: int) -> None:
        number = 0
        while True:
            names = [f"{name}.{thread}.{number + more}" for more in range(1 + number % 3)]
            ledger.append_all([Entry(kind=Kind.GAP, payload={"id": text}, time=NOW) for text in names])
            os.write(pipe, (" ".join(names) + "\n").encode())  # Short enough to come whole or not at all.
            number += len(names)

    for thread in range(1, THREADS):
        threading.Thread(target=write, args=(thread,), daemon=True).start()
    write(0)


def _await_first(pipes: list[tuple[int, int]]) -> bytes:
    ready, _, _ = select.select([pipe for _, pipe in pipes], [], [], FIRST_RECORD_SECONDS_MAX)
    assert ready, "no process wrote anything"
    return b"".join(os.read(pipe, 1 << 16) for pipe in ready)


def _drain(pipe: int) -> bytes:
    content = b""
    while chunk := os.read(pipe, 1 << 16):
        content += chunk
    return content
