"""A Dask cluster on this machine: a scheduler and workers, each a process that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

START_SECONDS_MAX: Final = 120.0
QUIET: Final = {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical", "OMP_NUM_THREADS": "1"}


@dataclass(slots=True)
class LocalCluster:
    """Where the scheduler listens, and who works."""

    folder: Path
    address: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self) -> subprocess.Popen[bytes]:
        """One that codes one group at a time; nobody brings it back when it dies."""
        options = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--memory-limit", "0"]
        options += ["--local-directory", str(self.folder), "--death-timeout", "60"]
        self.workers.append(_start("dask_worker", self.address, *options))
        return self.workers[-1]


@contextmanager
def local_cluster(folder: Path, *, workers: int) -> Iterator[LocalCluster]:
    """A scheduler and *workers*, gone at the end of the block."""
    told = folder / "scheduler.json"
    scheduler = _start(
        "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(told)
    )
    cluster = None
    try:
        cluster = LocalCluster(folder, _address(told, scheduler))
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        for process in [*(cluster.workers if cluster else []), scheduler]:
            process.kill()
            process.wait()


def _start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
    return subprocess.Popen(command, env={**os.environ, **QUIET}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _address(told: Path, scheduler: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and scheduler.poll() is None:
        if told.exists() and (text := told.read_text()):
            return str(json.loads(text)["address"])
        time.sleep(0.05)
    raise RuntimeError("the scheduler did not come up")
