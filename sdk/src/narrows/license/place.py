"""
Which of the encodes that run side by side an encode is: a locked file for each.

The kernel lets go of a lock when its process ends, however it ends. So an encode that restarts after it was killed
finds its old place, and with it the seat that is still held in its name. Needs `fcntl`, which Windows doesn't have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from narrows_licensing.lease_request import PLACE_MAX

_LEASE_NAME = re.compile(r"lease(?:-([0-9]{1,4}))?\.json")


@dataclass(slots=True)
class Place:
    """A place among the encodes of this installation; nobody else has it until it is left or the process ends."""

    number: int
    _file: IO[str] = field(repr=False)

    def leave(self) -> None:
        """Let somebody else have it; again is harmless."""
        self._file.close()


def take_place(state_folder: Path) -> Place | None:
    """
    Take the first free place, before all others one that had a lease; None if all are taken.

    Raises OSError if the lock can't be kept.
    """
    import fcntl  # Here, so that the others work on Windows.

    folder = state_folder / "places"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = _places_with_leases(state_folder)
    for number in [*known, *(number for number in range(PLACE_MAX + 1) if number not in known)]:
        file = (folder / f"{number}.lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            return Place(number, file)
    return None


def _places_with_leases(state_folder: Path) -> list[int]:
    matches = (_LEASE_NAME.fullmatch(path.name) for path in state_folder.glob("lease*.json"))
    return sorted(int(match[1] or 0) for match in matches if match and int(match[1] or 0) <= PLACE_MAX)
