"""A file being written beside its name, which it takes when it is whole and on the disk."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from narrows.media.video import translated


class UnfinishedFile:
    """
    *path* is where to write; `finish` moves it to *target*, `discard` removes it.

    A killed process leaves at most `.NAME.….partial`, never a half file under the name.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")

    def finish(self) -> None:
        """Raises VideoError when the disk is full or the name can't be taken; *target* is as it was then."""
        with translated(f"can't write {self.target}"):
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
            self.path.replace(self.target)
            _sync_folder(self.target.parent)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name durable; what can't open folders (Windows) does so by itself."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
