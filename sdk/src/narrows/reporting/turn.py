"""
Whose turn it is: of all processes that share a state folder, one at a time reports in the background.

Politeness and not safety: two that report at once change no total, they only ask twice. So where a file system knows
no locks, everybody has the turn. The lock is the operating system's and ends with the process that holds it.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCK: Final = "reporter.lock"


@contextmanager
def taken_turn(state_folder: Path) -> Iterator[bool]:
    """Whether the turn is this process's until the block ends; never waits. Raises OSError without the folder."""
    descriptor = os.open(state_folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EDEADLK)
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        # A lock of the process, not of the open file: a child of a fork must neither hold its parent's turn nor end it.
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EAGAIN)
        return True
