"""
The reserve: disk space kept beside a ledger for the record of an encode that is already running.

Whether there is room is asked before an encode starts. When the disk fills up while it runs, the reserve is given
back to the disk and the record takes its place.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from narrows_metering.errors import DiskFull, LedgerUnavailable

RESERVE_BYTES: Final = 4 * 2**20  # Some two hundred records in flight: each takes a few pages of 4 KiB in the log.
ROOM_BYTES_MIN: Final = 16 * 2**20  # Free space without which no encode starts; the reserve comes on top.


def free_bytes(folder: Path) -> int:
    """What the disk under *folder* still takes."""
    return shutil.disk_usage(folder).free


class Reserve:
    """The reserve file at *path*; *free_bytes* says how much room a folder has."""

    def __init__(self, path: Path, *, free_bytes: Callable[[Path], int] = free_bytes) -> None:
        self.path = path
        self._free_bytes = free_bytes

    def require_room(self) -> None:
        """
        See to it that a record that will be written later can be.

        Raises DiskFull if there is less room than ROOM_BYTES_MIN or the reserve cannot be made.
        """
        try:
            is_made = self._is_made()
            free = self._free_bytes(self.path.parent)
            needed = ROOM_BYTES_MIN + (0 if is_made else RESERVE_BYTES)
            if free < needed:
                raise DiskFull(
                    f"the disk of {self.path.parent} has {free / 2**20:.1f} MiB left and usage records need "
                    f"{needed / 2**20:.0f} MiB: free some space, or set NARROWS_STATE to a folder on another disk"
                )
            if not is_made:
                self._make()
        except OSError as error:
            raise LedgerUnavailable(f"{self.path}: {error}") from error

    def release(self) -> bool:
        """Give the space back to the disk; whether there was any."""
        try:
            was_made = self._is_made()
            self.path.unlink(missing_ok=True)
        except OSError:
            return False
        return was_made

    def _is_made(self) -> bool:
        try:
            return self.path.stat().st_size == RESERVE_BYTES
        except FileNotFoundError:
            return False

    def _make(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            else:
                os.write(descriptor, bytes(RESERVE_BYTES))
        except OSError as error:
            self.path.unlink(missing_ok=True)
            raise DiskFull(f"{self.path}: {error}") from error
        finally:
            os.close(descriptor)
