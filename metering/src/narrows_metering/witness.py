"""
The witness: a small file beside a ledger that says how far the ledger had come.

SQLite takes a damaged end of its write-ahead log for one that was never finished, and an older copy of a ledger is a
valid ledger. Both would lose records without a word. The witness is written after each commit and is never ahead of
the disk, so a ledger that holds less than its witness says has lost something. It is not waited for, so after a power
cut it may be behind, which proves nothing and harms nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from narrows_metering.chain import Head

_LINE: Final = re.compile(rb"narrows-witness/1 ([0-9]{16}) ([0-9a-f]{64}) ([0-9a-f]{16})\n")
_LINE_BYTES: Final = 117


class Witness:
    """The witness file at *path*. It never stands in anybody's way: what cannot be written or read says nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def seen(self) -> Head | None:
        """The last record that was noted; None if there is no witness, or it is damaged itself."""
        try:
            line = self.path.read_bytes()
        except OSError:
            return None
        match = _LINE.fullmatch(line)
        if match is None or match[3] != _check(match[1], match[2]):
            return None
        return Head(seq=int(match[1]), hash=match[2].decode())

    def note(self, head: Head) -> None:
        """Say that the ledger has come to *head*."""
        seq, text = b"%016d" % head.seq, head.hash.encode()
        line = b"narrows-witness/1 %s %s %s\n" % (seq, text, _check(seq, text))
        assert len(line) == _LINE_BYTES
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
            if hasattr(os, "pwrite"):  # A child of a fork shares the file's position with its parent.
                os.pwrite(self._descriptor, line, 0)
            else:
                os.lseek(self._descriptor, 0, os.SEEK_SET)
                os.write(self._descriptor, line)
        except OSError:
            pass  # The records are safe; only this protection of them is weaker until the next note.

    def close(self) -> None:
        """Close the file; `note` opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _check(seq: bytes, text: bytes) -> bytes:
    return hashlib.sha256(seq + text).hexdigest()[:16].encode()
