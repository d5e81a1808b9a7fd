"""Which databases the tests of the server run on, and where: in memory if there is room."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

KINDS = ("sqlite", "postgresql")
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 2 << 30


def folder_without_waiting(prefix: str) -> Path:
    """
    A new folder that its maker removes: in memory where there is some to spare, or else on the disk.

    Every commit waits for a disk, which takes most of the time of a test and shows nothing: what a power cut leaves is
    shown in `tests.crash` and `tests.simulation`.
    """
    is_roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN
    return Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if is_roomy else None))
