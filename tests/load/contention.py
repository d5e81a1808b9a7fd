"""
Why intake is slower on a busy machine: for want of processors, or because workers wait for each other?

The real server on PostgreSQL takes in reports beside more and more processes that do nothing but count. The kernel says
how long the server and its database ran, and how long they could have run and had no processor
(`/proc/PID/schedstat`); PostgreSQL says what its sessions waited for. If a record costs as much processor time beside
others as alone, and what is lost was spent waiting for a processor, it is the shares; else it is something of ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psycopg

from ..server.postgres import Postgres, running_postgres
from .reports import sign_chains
from .sender import send_from_elsewhere
from .vendor import make_vendor, serving

SECONDS: Final = 6.0
ENROLMENT_SECONDS_MAX: Final = 60.0
SAMPLES_EVERY_SECONDS: Final = 0.05
ACTIVE: Final = """
    SELECT coalesce(wait_event_type || '/' || wait_event, 'running') FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contended:
    """Intake beside so many others."""

    others: int
    records_per_second: float
    processor_microseconds: float  # Of server and database, for a record.
    ran: float  # Processors that server and database had on average,
    waited: float  # and would have had, had there been any left.
    locked: int  # Samples of database sessions that waited for a lock of a row or a table,
    sampled: int  # of so many.
    waits: dict[str, int] = field(default_factory=dict)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.contention", description=__doc__)
    parser.add_argument("--others", default="0,2,6,14", help="processes that count beside it [%(default)s]")
    parser.add_argument("--workers", type=int, default=1, help="processes of the server [%(default)s]")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    options = parser.parse_args()
    found = []
    sys.stdout.write(f"{'others':>7} {'records/s':>10} {'µs/record':>10} {'ran':>6} {'waited':>7} {'locks':>12}\n")
    for others in map(int, options.others.split(",")):
        one = _measure(others, options.workers)
        found.append(one)
        waits = ", ".join(f"{name} {count}" for name, count in Counter(one.waits).most_common(5))
        sys.stdout.write(
            f"{one.others:7} {one.records_per_second:10,.0f} {one.processor_microseconds:10.1f} {one.ran:6.2f} "
            f"{one.waited:7.2f} {one.locked:5}/{one.sampled:<6} {waits}\n"
        )
        sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=2) + "\n")
    return 0


def _measure(others: int, workers: int) -> Contended:
    with TemporaryDirectory(prefix="narrows-contention-") as folder, running_postgres() as postgres:
        url = postgres.fresh_database()
        vendor = make_vendor(Path(folder) / "home", url)
        chains = sign_chains(chains=4, reports=160, records=500, license_token=vendor.license_token, prefix="contended")
        with serving(vendor, workers=workers) as served, _counting(others):
            watch = _Watch(
                [process.pid for process in served.processes], _postmaster(postgres), postgres.conninfo("postgres")
            )
            # The first reports of a customer's installations wait for each other: each is enrolled after the other.
            enrolled = send_from_elsewhere(served.port, [chain[:1] for chain in chains], ENROLMENT_SECONDS_MAX)
            assert enrolled.records == 4 * 500, enrolled.refused
            with watch:
                sent = send_from_elsewhere(served.port, [chain[1:] for chain in chains], SECONDS)
    assert not sent.refused, sent.refused[:1]
    waits = watch.waits
    return Contended(
        others=others,
        records_per_second=sent.records / sent.seconds,
        processor_microseconds=1e6 * watch.ran_seconds / sent.records,
        ran=watch.ran_seconds / sent.seconds,
        waited=watch.waited_seconds / sent.seconds,
        locked=sum(count for name, count in waits.items() if name.startswith("Lock/")),
        sampled=sum(waits.values()),
        waits=dict(waits),
    )


class _Watch:
    """What the kernel counts for the server's processes and the database's, and what the sessions wait for."""

    def __init__(self, servers: list[int], database: int, conninfo: str) -> None:
        self._servers, self._database, self._conninfo = servers, database, conninfo
        self._is_over = threading.Event()
        self._sampler = threading.Thread(target=self._sample)
        self.waits = Counter[str]()
        self.ran_seconds = self.waited_seconds = 0.0

    def __enter__(self) -> _Watch:
        self._began = self._counted()
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._sampler.join()
        for task, (ran, waited) in self._counted().items():
            before = self._began.get(task, (0, 0))
            self.ran_seconds += (ran - before[0]) / 1e9
            self.waited_seconds += (waited - before[1]) / 1e9

    def _counted(self) -> dict[str, tuple[int, int]]:
        """Nanoseconds on a processor, and waiting for one, of every thread."""
        processes = [*self._servers, self._database, *_children(self._database)]
        found = {}
        for process in processes:
            for task in Path(f"/proc/{process}/task").iterdir():
                ran, waited, _ = (task / "schedstat").read_text().split()
                found[str(task)] = int(ran), int(waited)
        return found

    def _sample(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            while not self._is_over.wait(SAMPLES_EVERY_SECONDS):
                self.waits.update(name for (name,) in connection.execute(ACTIVE).fetchall())


def _postmaster(postgres: Postgres) -> int:
    """The process that all sessions of the database are children of."""
    with psycopg.connect(postgres.conninfo("postgres")) as connection:
        (folder,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    return int(Path(folder, "postmaster.pid").read_text().split()[0])


def _children(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@contextmanager
def _counting(others: int) -> Iterator[None]:
    # Each in a session of its own, as programs of others are: Linux shares processors out by session (autogroup).
    processes = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(others)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
