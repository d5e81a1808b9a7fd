"""Whether the state folder keeps what is put there: the ledger and the keys of this installation."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Final

from narrows.finding import Finding, Outcome
from narrows.version import RELEASE_DATE

FREE_BYTES_MIN: Final = 2**28
"""Ledgers are small; other files of the same disk are not."""
MOUNTS: Final = Path("/proc/self/mounts")
_IN_MEMORY = {"tmpfs", "ramfs"}
_OF_A_CONTAINER = {"overlay", "aufs"}
_OVER_A_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"}
_ELSEWHERE = "set NARROWS_STATE to a folder on a local disk that survives a restart"


def examine_state(folder: Path, *, at: datetime, mounts: Path = MOUNTS) -> Iterator[Finding]:
    """Whether *folder* can be written, by whom it can be read, where it is, and whether the clock can be right."""
    writable = _examine_writing(folder)
    yield writable
    if writable.outcome is not Outcome.BAD:
        yield _examine_durability(folder, mounts)
        yield _examine_space(folder)
    yield examine_clock(at)


def examine_clock(at: datetime) -> Finding:
    """A clock that stands before the day of this release is wrong; licenses and records carry its time."""
    detail = f"{at:%Y-%m-%d %H:%M} UTC"
    if at >= datetime.combine(RELEASE_DATE, time(), UTC):
        return Finding(check="clock", outcome=Outcome.GOOD, detail=detail)
    detail += f", before this release of {RELEASE_DATE}"
    return Finding(check="clock", outcome=Outcome.BAD, detail=detail, todo="set the clock, and keep it set by NTP")


def _examine_writing(folder: Path) -> Finding:
    there = _existing(folder)
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".narrows-doctor-") as file:
            file.write(b"narrows")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        detail = f"can't write in {there}: {error.strerror or error}"
        todo = "set NARROWS_STATE to a writable folder"
        return Finding(check="state folder", outcome=Outcome.BAD, detail=detail, todo=todo)
    if there != folder:
        return Finding(check="state folder", outcome=Outcome.GOOD, detail=f"{folder} will be made at first use")
    open_keys = [path.name for path in folder.glob("*.key") if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    if open_keys and os.name == "posix":
        detail = f"others may read {', '.join(sorted(open_keys))} in {folder}"
        return Finding(check="state folder", outcome=Outcome.NOTICE, detail=detail, todo=f"chmod go= {folder}/*.key")
    return Finding(check="state folder", outcome=Outcome.GOOD, detail=str(folder))


def _examine_durability(folder: Path, mounts: Path) -> Finding:
    kind = file_system_of(_existing(folder).resolve(), mounts)
    if kind in _OVER_A_NETWORK:
        detail = f"{kind}: the ledger's database needs a local disk (sqlite.org/wal.html)"
        return Finding(check="durability", outcome=Outcome.BAD, detail=detail, todo=_ELSEWHERE)
    if kind in _IN_MEMORY | _OF_A_CONTAINER:
        where = "in memory" if kind in _IN_MEMORY else "in the container itself"
        detail = f"{kind}: what is recorded {where} is gone after a restart"
        return Finding(check="durability", outcome=Outcome.NOTICE, detail=detail, todo=_ELSEWHERE)
    outcome = Outcome.SKIPPED if kind is None else Outcome.GOOD
    return Finding(check="durability", outcome=outcome, detail=kind or "the kind of file system is not known here")


def file_system_of(path: Path, mounts: Path = MOUNTS) -> str | None:
    """The kind of file system that holds the absolute *path*, as Linux lists it in *mounts*; None elsewhere."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None
    kinds = dict[Path, str]()
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        kinds[Path(point.encode().decode("unicode_escape"))] = kind  # Blanks are written \040. The last one covers.
    return next((kinds[place] for place in (path, *path.parents) if place in kinds), None)


def _examine_space(folder: Path) -> Finding:
    usage = shutil.disk_usage(_existing(folder))
    detail = f"{usage.free / 2**30:.1f} of {usage.total / 2**30:.1f} GiB are free"
    if usage.free < FREE_BYTES_MIN:
        todo = "make room: nothing is encoded that can't be recorded"
        return Finding(check="disk", outcome=Outcome.NOTICE, detail=detail, todo=todo)
    return Finding(check="disk", outcome=Outcome.GOOD, detail=detail)


def _existing(folder: Path) -> Path:
    """*folder*, or the nearest above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
