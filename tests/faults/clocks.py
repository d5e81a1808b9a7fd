"""A clock of the operating system that a test turns while the real command runs under it: `turned_clock.c`."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from ..load.vendor import Vendor
from .served import Serving, serving

SOURCE = Path(__file__).with_name("turned_clock.c")


class TurnedClock:
    """For the servers that it serves: right at first, then off by what `turn` says. Skips where it can't be."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None or not sys.platform.startswith("linux"):
            pytest.skip("turning the clock of a process takes Linux and a C compiler (cc)")
        self._file = folder / "turned"
        self._file.write_bytes(bytes(8))
        library = folder / "turned_clock.so"
        subprocess.run([compiler, "-O2", "-Wall", "-Werror", "-shared", "-fPIC", SOURCE, "-o", library], check=True)
        self._library = library

    def serving(self, vendor: Vendor) -> AbstractContextManager[Serving]:
        """The real command, under this clock."""
        return serving(vendor, LD_PRELOAD=str(self._library), TURNED_CLOCK=str(self._file))

    def turn(self, by: timedelta) -> None:
        """Set it *by* so much off the right time."""
        with self._file.open("r+b") as file:  # In place: it is mapped.
            file.write(struct.pack("=q", by // timedelta(microseconds=1) * 1000))
