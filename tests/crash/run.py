"""
The long form of the crash tests: `make crash`, or `python -m tests.crash.run`.

Exits with 1 as soon as anything that was acknowledged is lost or doubled, or a change goes unnoticed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ..server.postgres import PostgresMissing, running_postgres
from ..simulation.run import memory
from .books import Books
from .kill import kill_often
from .mutation import MutationReport, ledger_size, mutate_ledger, mutate_receipt, mutate_report
from .power import cut_often
from .replay import ReplayReport, replay, some_reports

JOBS = 2


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make crash", description="Kill, cut the power, change bytes, replay.")
    parser.add_argument("--kills", type=int, default=500, help="processes killed with -9 [%(default)s]")
    parser.add_argument("--cuts", type=int, default=500, help="simulated power cuts [%(default)s]")
    parser.add_argument("--replays", type=int, default=3, help="shuffled replays on each database [%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="[%(default)s]")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)

    results: dict[str, dict[str, Any]] = {}

    def run(name: str, work: Callable[[], Any]) -> None:
        began = time.monotonic()
        result = work()
        results[name] = {one.name: getattr(result, one.name) for one in fields(result)} | {
            "seconds": round(time.monotonic() - began, 1)
        }
        if not options.json:
            _show(name, results[name])

    # Kills are real, so they get a real disk; the others bring their own.
    with tempfile.TemporaryDirectory(prefix="narrows-crash-", dir=Path.cwd()) as real, memory() as fast:
        run("kill -9", lambda: kill_often(Path(real), kills=options.kills, seed=options.seed))
        run("power cuts", lambda: cut_often(fast, cuts=options.cuts, seed=options.seed))
        run("every byte of a ledger", lambda: _mutate_all(fast))
        run("every bit of a report", lambda: mutate_report(fast))
        run("every bit of a receipt", lambda: mutate_receipt(fast))
        run("replay, SQLite", lambda: _replay(fast, "sqlite", options.replays, options.seed))
        try:
            with running_postgres() as postgres:
                run("replay, PostgreSQL", lambda: _replay(fast, "postgresql", options.replays, options.seed, postgres))
        except PostgresMissing as missing:
            results["replay, PostgreSQL"] = {"skipped": str(missing), "differences": []}
    failed = [name for name, result in results.items() if result["differences"]]
    if options.json:
        sys.stdout.write(json.dumps(results, indent=2) + "\n")
    else:
        sys.stdout.write("failed: " + (", ".join(failed) or "nothing") + "\n")
    return 1 if failed else 0


def _mutate_all(folder: Path) -> MutationReport:
    """Every byte of the ledger, shared among processes."""
    size = ledger_size(folder)
    total = MutationReport("ledger", size)
    with ProcessPoolExecutor(JOBS, mp_context=get_context("spawn")) as workers:
        for part in workers.map(_mutate_some, [range(job, size, JOBS) for job in range(JOBS)]):
            total.changes += part.changes
            total.noticed += part.noticed
            total.meaningless += part.meaningless
            total.differences += part.differences
    return total


def _mutate_some(positions: range) -> MutationReport:
    with memory() as folder:
        return mutate_ledger(folder, positions, seed=positions.start)


def _replay(folder: Path, name: str, times: int, seed: int, postgres: Any = None) -> ReplayReport:
    total = ReplayReport()
    for at in range(times):
        with _below(folder, f"{name}-{at}") as here:
            books = Books(here / "home", postgres)
            with books.opened() as office:
                reports = some_reports(office, here, random.Random(seed + at))
            books.keep("before")
            one = replay(books, reports, seed=seed + at)
        total.sent += one.sent
        total.accepted += one.accepted
        total.gaps += one.gaps
        total.differences += one.differences
    return total


@contextmanager
def _below(folder: Path, name: str) -> Iterator[Path]:
    here = folder / name
    here.mkdir()
    yield here


def _show(name: str, result: dict[str, Any]) -> None:
    shown = {key: value for key, value in result.items() if key not in ("differences", "meaningless", "what")}
    sys.stdout.write(f"{name}: " + ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in shown.items()) + "\n")
    for place, count in sorted(result.get("meaningless", {}).items()):
        sys.stdout.write(f"  {count:6} changes without meaning in: {place}\n")
    for difference in result["differences"][:20]:
        sys.stdout.write(f"  ! {difference}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
