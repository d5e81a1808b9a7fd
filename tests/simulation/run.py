"""
Many seeds, in as many processes as there are to be, and what they came to together.

Run it as `python -m tests.simulation.run` or `make simulate`; `--first N --seeds 1` plays one seed again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from .network import FAULTS as NETWORK_FAULTS
from .server import Server
from .world import FAMILIES, HAPPENINGS, Outcome, World

CHUNK: Final = 25  # Seeds that a process takes at a time.
PROGRESS_SECONDS: Final = 10.0
FAULTS: Final = (*NETWORK_FAULTS, *HAPPENINGS)


@dataclass(slots=True)
class Summary:
    """Everything that came of all seeds so far."""

    seeds: int = 0
    steps: int = 0
    events: int = 0
    faults: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(FAULTS, 0)))
    families: Counter[str] = field(default_factory=Counter)
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.steps += outcome.steps
        self.events += outcome.events
        self.faults.update(outcome.faults)
        self.families[outcome.family] += 1
        if outcome.differences:
            self.failed.append(outcome)

    def unused(self) -> list[str]:
        """The faults that no seed has drawn: a run in which they cannot have done harm proves nothing about them."""
        return sorted(name for name in FAULTS if not self.faults[name])


def play(seeds: Iterable[int], folder: Path) -> Iterator[Outcome]:
    """The outcomes of *seeds*, one after the other, in this process; everything lies below *folder*."""
    server = Server.make(folder / "server")
    try:
        for seed in seeds:
            here = folder / f"seed-{seed}"
            here.mkdir()
            yield World(seed=seed, folder=here, server=server).run()
    finally:
        server.close()


def play_all(first: int, count: int, jobs: int) -> Iterator[Outcome]:
    """The outcomes of *count* seeds from *first* on, in no particular order when there are several *jobs*."""
    chunks = (range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK))
    if jobs == 1:
        with memory() as folder:
            yield from play(range(first, first + count), folder)
        return
    # Spawned: a process that has opened SQLite and started threads is no good parent for a fork.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin) as workers:
        waiting = {workers.submit(_play_chunk, chunk) for chunk in islice(chunks, 2 * jobs)}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            # Only as many at a time as there is work for: a million seeds must not lie in memory.
            waiting |= {workers.submit(_play_chunk, chunk) for chunk in islice(chunks, len(done))}
            for future in done:
                yield from future.result()


_WORKER: dict[str, Server | Path] = {}


def _begin() -> None:
    folder = Path(tempfile.mkdtemp(prefix="narrows-simulation-", dir=_memory()))
    _WORKER.update(folder=folder, server=Server.make(folder / "server"))


def _play_chunk(seeds: Iterable[int]) -> list[Outcome]:
    server, folder = _WORKER["server"], _WORKER["folder"]
    assert isinstance(server, Server) and isinstance(folder, Path)
    outcomes = []
    for seed in seeds:
        here = folder / f"seed-{seed}"
        here.mkdir()
        outcomes.append(World(seed=seed, folder=here, server=server).run())
    return outcomes


@contextmanager
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: the disks are simulated, so a real one would only be slow."""
    with tempfile.TemporaryDirectory(prefix="narrows-simulation-", dir=_memory()) as folder:
        yield Path(folder)


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def describe(outcome: Outcome) -> str:
    lines = [f"seed {outcome.seed} ({outcome.family}) differs:", *(f"  {text}" for text in outcome.differences)]
    lines += ["  what happened:", *(f"    {line}" for line in outcome.log)]
    lines += [f"  again: make simulate SEEDS=1 FIRST={outcome.seed} JOBS=1"]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make simulate", description="Play seeds of the simulation.")
    parser.add_argument("--seeds", type=int, default=2_000, help="how many [%(default)s]")
    parser.add_argument("--first", type=int, default=0, help="the first of them [%(default)s]; resumes a long run")
    parser.add_argument("--jobs", type=int, default=2, help="processes [%(default)s]")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--log", action="store_true", help="print what happened in every seed")
    options = parser.parse_args(arguments)
    began = told = time.monotonic()
    summary = Summary()
    for outcome in play_all(options.first, options.seeds, options.jobs):
        summary.add(outcome)
        if outcome.differences or options.log:
            sys.stderr.write(f"{describe(outcome)}\n")
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            rate = summary.seeds / (told - began)
            of = f"{summary.seeds} of {options.seeds} seeds from {options.first} on"
            sys.stderr.write(f"… {of}, {rate:.0f}/s, {len(summary.failed)} differ\n")
    # A replay of one seed, or of a few, cannot draw everything.
    unused = summary.unused() if options.seeds >= len(FAULTS) * 10 else []
    text = _as_json(summary, unused) if options.json else _as_table(summary, unused)
    sys.stdout.write(text.replace("SECONDS", f"{time.monotonic() - began:.0f}") + "\n")
    return 1 if summary.failed or unused else 0


def _as_json(summary: Summary, unused: list[str]) -> str:
    document = {
        "seeds": summary.seeds,
        "steps": summary.steps,
        "events": summary.events,
        "seconds": "SECONDS",
        "faults": dict(summary.faults),
        "families": dict(summary.families),
        "never_drawn": unused,
        "failed": [{"seed": o.seed, "differences": o.differences, "log": o.log} for o in summary.failed],
    }
    return json.dumps(document, indent=2)


def _as_table(summary: Summary, unused: list[str]) -> str:
    lines = [f"{summary.seeds} seeds, {summary.steps} steps, {summary.events} events, SECONDS s"]
    lines += [f"  {summary.faults[name]:8} {name}" for name in FAULTS]
    lines += ["families: " + ", ".join(f"{summary.families[name]} {name}" for name in FAMILIES)]
    lines += [f"never drawn: {', '.join(unused)}"] if unused else []
    lines += [f"{len(summary.failed)} seeds differ from the oracle"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
