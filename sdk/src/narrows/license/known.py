"""
The memory of signed documents in the state folder: the newest trust bundle and revocation list that came by.

Written in whole or not at all, and never back to older ones, also when several processes start at once. Where it
can't be written, the license is judged by what is there: a full disk is not a reason to refuse an encode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from narrows_licensing.document import OpenedFile
from narrows_licensing.errors import DocumentUnreadable
from narrows_licensing.memory import MEMORY_BYTES_MAX, NOTHING, Known
from narrows_licensing.verdict import Refused

from narrows.atomic_file import replacing


def memory_path(state_folder: Path) -> Path:
    """Where the memory is kept."""
    return state_folder / "trust.json"


def read_known(state_folder: Path) -> Known:
    """
    What is remembered; nothing if there is nothing, or if it is damaged.

    Whoever can damage the file can also remove it, so a damaged one is no more suspicious than none.
    """
    path = memory_path(state_folder)
    with suppress(OSError, DocumentUnreadable):
        if path.stat().st_size <= MEMORY_BYTES_MAX:
            return Known.from_json(path.read_text(errors="replace"))
    return NOTHING


def open_remembering(state_folder: Path, open_with: Callable[[Known], OpenedFile | Refused]) -> OpenedFile | Refused:
    """Open a license file with what is known, and remember what it has taught."""
    known = read_known(state_folder)
    opened = open_with(known)
    if isinstance(opened, Refused) or opened.known == known:
        return opened
    with suppress(OSError, ImportError), _locked(state_folder):
        # Another process may have learned more in the meantime: open again with what it has written.
        now_known = read_known(state_folder)
        latest = open_with(now_known)
        if not isinstance(latest, Refused) and latest.known != now_known:
            with replacing(memory_path(state_folder)) as file:
                file.write(latest.known.to_json().encode())
        return latest
    return opened


@contextmanager
def _locked(state_folder: Path) -> Iterator[None]:
    import fcntl  # Not on Windows, where nothing is remembered then.

    state_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state_folder / "trust.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
