"""
How many encodes run on this machine, for licenses that agree on a number: one locked file for each.

The kernel lets go of a lock when its process ends, however it ends, so a killed encode is not counted. Encodes with
another state folder are another installation's. Needs `fcntl`, which Windows doesn't have: there a
license that counts encodes is refused with ImportError, and all others work.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO


@dataclass(slots=True)
class RunningEncode:
    """The place of one encode among those that run. Given up when it is released, or when the process ends."""

    path: Path
    _file: IO[str] = field(repr=False)

    def release(self) -> None:
        """Give the place up; again is harmless."""
        if not self._file.closed:
            self.path.unlink(missing_ok=True)
            self._file.close()


@contextmanager
def counted(state_folder: Path) -> Iterator[int]:
    """How many encodes run. Until the block ends nobody else counts or begins: `begin` belongs inside it."""
    import fcntl

    folder = _folder(state_folder)
    with (folder / "count").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield sum(_runs(path) for path in folder.glob("*.encode"))


def begin(state_folder: Path) -> RunningEncode:
    """Take a place. Raises OSError if none can be kept."""
    import fcntl

    path = _folder(state_folder) / f"{os.getpid()}-{secrets.token_hex(8)}.encode"
    file = path.open("x")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return RunningEncode(path, file)


def _folder(state_folder: Path) -> Path:
    folder = state_folder / "running"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _runs(path: Path) -> bool:
    import fcntl

    try:
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)  # Its process is gone.
            return False
    except BlockingIOError:
        return True
