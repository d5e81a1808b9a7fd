"""
A disk that remembers what was really written: a SQLite VFS that notes every write and every wait for the disk.

SQLite reaches the operating system through a table of functions, its VFS (https://sqlite.org/vfs.html). The one here
passes everything on to the usual one and keeps, for every file below a watched folder, the content that a wait for the
disk has made durable and the writes that none has covered yet. So a power cut can be played back: of the writes that
nobody waited for, any may be kept, lost or torn, in any order. The code under test stays as it is and notices nothing.

What it assumes: a write that was waited for stays; a torn write changes no byte outside itself (SQLite assumes the
same: "powersafe overwrite"); what Python writes by itself (key files, links, folders) is durable when it returns.
"""

from __future__ import annotations

import ctypes
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

SECTOR_BYTES: Final = 512
_SQLITE_OK: Final = 0
_SQLITE_IOERR: Final = 10
_SQLITE_FULL: Final = 13
_VFS_WORDS: Final = 22  # The members of `sqlite3_vfs`, version 3; the first two words hold three integers.
_METHODS: Final = 19  # The members of `sqlite3_io_methods`, version 3.
_X_OPEN, _X_DELETE = 5, 6
_X_CLOSE, _X_WRITE, _X_TRUNCATE, _X_SYNC = 1, 3, 4, 5

# Names are passed as addresses: SQLite keeps the pointer, and reads a URI's parameters behind the name.
_Open = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_Delete = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_Close = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_Write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


@dataclass(slots=True)
class _File:
    """One file of a watched folder: what is durable, and the writes since, in order. `None` data is a truncation."""

    durable: bytearray
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for offset, data in self.pending:
            _apply(self.durable, offset, data)
        self.pending.clear()


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        if offset < len(content):
            del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


@dataclass(slots=True)
class Disk:
    """
    The disk under *folder*. `lies` makes it forget that anybody ever waited for it.

    >>> with Disk(folder) as disk:
    ...     ...  # Ledgers in the folder are opened, written, abandoned.
    ...     disk.cut_power(random.Random(1))
    """

    folder: Path
    lies: bool = False
    operations: int = 0  # Writes, truncations and waits so far.
    dies_after: int | None = None  # The operation after which nothing works any more.
    room: int | None = None  # Bytes that all files together may have; None for enough.
    files: dict[int, _File] = field(default_factory=dict)  # By inode: a file may be linked under another name.

    def __enter__(self) -> Disk:
        Vfs.installed().watch(self)
        return self

    def __exit__(self, *_: object) -> None:
        Vfs.installed().forget(self)

    @property
    def is_dead(self) -> bool:
        return self.dies_after is not None and self.operations >= self.dies_after

    def cut_power(self, chance: random.Random) -> int:
        """
        Leave in every file what is durable and a random part of the rest; returns how many writes were lost or torn.

        Every connection must have been closed or abandoned. The disk works again afterwards.
        """
        paths = {path.stat().st_ino: path for path in self.folder.rglob("*") if path.is_file()}
        lost = 0
        for inode, file in self.files.items():
            path = paths.get(inode)
            if path is None or not file.pending:
                continue
            for offset, data in _survivors(file.pending, chance):
                _apply(file.durable, offset, data)
            lost += len(file.pending)
            path.write_bytes(file.durable)
        self.replug()
        return lost

    def stop(self) -> None:
        """Let nothing be written any more: what a process that was killed has done by now is all that it did."""
        self.dies_after = self.operations

    def resume(self) -> None:
        """Work again, with everything that was written before `stop`: the operating system outlives a process."""
        self.dies_after = None

    def replug(self) -> None:
        """Take what lies in the folder now for durable, and forget what came before."""
        for path in self.folder.rglob("*-shm"):
            path.unlink()  # Memory that processes share, never a thing of the disk.
        self.files.clear()
        self.dies_after = None

    def begin(self, inode: int, path: Path) -> None:
        if inode not in self.files:
            self.files[inode] = _File(durable=bytearray(path.read_bytes()))

    def write(self, inode: int, offset: int, data: bytes | None) -> int:
        """Note a write, or a truncation; what SQLite is to be told."""
        if self.is_dead:
            return _SQLITE_IOERR
        if self.room is not None and data is not None and not self._has_room(inode, offset + len(data)):
            return _SQLITE_FULL
        self.operations += 1
        self.files[inode].pending.append((offset, data))
        return _SQLITE_OK

    def sync(self, inode: int) -> int:
        if self.is_dead:
            return _SQLITE_IOERR
        self.operations += 1
        if not self.lies:
            self.files[inode].sync()
        return _SQLITE_OK

    def _has_room(self, inode: int, end: int) -> bool:
        assert self.room is not None
        sizes = {entry.stat().st_ino: entry.stat().st_size for entry in os.scandir(self.folder) if entry.is_file()}
        if end <= sizes.get(inode, 0):
            return True
        return sum(sizes.values()) - sizes.get(inode, 0) + end <= self.room


def _survivors(pending: list[tuple[int, bytes | None]], chance: random.Random) -> list[tuple[int, bytes | None]]:
    """What of *pending* reached the disk all the same: any of it, in any order, the last of it torn."""
    kept = [operation for operation in pending if chance.random() < 0.5]
    chance.shuffle(kept)
    if kept and kept[-1][1] is not None:
        offset, data = kept[-1]
        assert data is not None
        # Cut at a boundary of sectors of the *file*: a sector is written whole or not at all.
        cuts = [0, *range(SECTOR_BYTES - offset % SECTOR_BYTES, len(data), SECTOR_BYTES), len(data)]
        kept[-1] = (offset, data[: chance.choice(cuts)])
    return kept


class Vfs:
    """The recording VFS, registered once per process in the SQLite library that Python's `sqlite3` has loaded."""

    _installed: ClassVar[Vfs | None] = None

    @classmethod
    def installed(cls) -> Vfs:
        """The one VFS of this process. Raises RuntimeError where Python has SQLite inside and no library to reach."""
        if cls._installed is None:
            cls._installed = cls(_loaded_library())
        return cls._installed

    def __init__(self, library: ctypes.CDLL) -> None:
        library.sqlite3_vfs_find.restype = ctypes.c_void_p
        self._usual = library.sqlite3_vfs_find(None)
        words = (ctypes.c_void_p * _VFS_WORDS).from_address(self._usual)
        self._vfs = (ctypes.c_void_p * _VFS_WORDS)(*words)
        # Word 0 holds iVersion and szOsFile, word 1 mxPathname; then pNext, zName, pAppData, xOpen, xDelete, …
        self._name = ctypes.create_string_buffer(b"recording")
        self._vfs[3] = ctypes.addressof(self._name)
        self._open_usual = _Open(words[_X_OPEN] or 0)
        self._delete_usual = _Delete(words[_X_DELETE] or 0)
        self._open, self._delete = _Open(self._on_open), _Delete(self._on_delete)
        self._vfs[_X_OPEN] = ctypes.cast(self._open, ctypes.c_void_p)
        self._vfs[_X_DELETE] = ctypes.cast(self._delete, ctypes.c_void_p)
        self._disks: list[Disk] = []
        self._handles: dict[int, tuple[Disk, int]] = {}  # By the address of SQLite's file object.
        self._tables: dict[int, _Methods] = {}  # By the address of the usual table of methods.
        if library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) != _SQLITE_OK:
            raise RuntimeError("SQLite did not take the recording VFS")

    def watch(self, disk: Disk) -> None:
        self._disks.append(disk)

    def forget(self, disk: Disk) -> None:
        self._disks.remove(disk)

    def find(self, name: int | None) -> tuple[Disk, Path] | None:
        """The watched disk that the file lies on, and its path."""
        if name is None or not self._disks:
            return None
        path = os.fsdecode(ctypes.string_at(name))
        return next(((disk, Path(path)) for disk in self._disks if path.startswith(f"{disk.folder}{os.sep}")), None)

    def handle(self, file: int) -> tuple[Disk, int]:
        return self._handles[file]

    def close(self, file: int) -> None:
        self._handles.pop(file, None)

    def _on_open(self, vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        code = self._open_usual(self._usual, name, file, flags, out)
        found = self.find(name)
        if code != _SQLITE_OK or found is None:
            return int(code)
        disk, path = found
        inode = path.stat().st_ino
        disk.begin(inode, path)
        self._handles[file] = (disk, inode)
        pointer = ctypes.c_void_p.from_address(file)
        usual = pointer.value or 0
        if usual not in self._tables:
            self._tables[usual] = _Methods(usual, self)
        pointer.value = self._tables[usual].address
        return _SQLITE_OK

    def _on_delete(self, vfs: int, name: int, sync_folder: int) -> int:
        found = self.find(name)
        if found is not None:
            disk, path = found
            if disk.is_dead:
                return _SQLITE_IOERR
            if path.exists():
                disk.files.pop(path.stat().st_ino, None)  # The number may come again, for another file.
        return int(self._delete_usual(self._usual, name, sync_folder))


class _Methods:
    """A table of a file's methods in which writing and waiting are ours."""

    def __init__(self, usual: int, vfs: Vfs) -> None:
        words = (ctypes.c_void_p * _METHODS).from_address(usual)
        close, write = _Close(words[_X_CLOSE] or 0), _Write(words[_X_WRITE] or 0)
        truncate = _Truncate(words[_X_TRUNCATE] or 0)

        def on_close(file: int) -> int:
            vfs.close(file)
            return int(close(file))

        def on_write(file: int, data: int, amount: int, offset: int) -> int:
            disk, inode = vfs.handle(file)
            return disk.write(inode, offset, ctypes.string_at(data, amount)) or int(write(file, data, amount, offset))

        def on_truncate(file: int, size: int) -> int:
            disk, inode = vfs.handle(file)
            return disk.write(inode, size, None) or int(truncate(file, size))

        def on_sync(file: int, flags: int) -> int:
            disk, inode = vfs.handle(file)
            return disk.sync(inode)  # The real disk is not waited for: what it would keep is what is noted here.

        self._kept: tuple[Callable[..., Any], ...] = (
            _Close(on_close),
            _Write(on_write),
            _Truncate(on_truncate),
            _Sync(on_sync),
        )
        self._table = (ctypes.c_void_p * _METHODS)(*words)
        for place, function in zip((_X_CLOSE, _X_WRITE, _X_TRUNCATE, _X_SYNC), self._kept, strict=True):
            self._table[place] = ctypes.cast(function, ctypes.c_void_p)
        self.address = ctypes.addressof(self._table)


def _loaded_library() -> ctypes.CDLL:
    import _sqlite3

    with Path("/proc/self/maps").open() as maps:
        paths = {line.split(maxsplit=5)[5].strip() for line in maps if "sqlite3" in line and line.count(" ") >= 5}
    for path in sorted(paths):
        if Path(path).name.startswith("libsqlite3"):
            return ctypes.CDLL(path)
    raise RuntimeError(f"{_sqlite3.__file__} has SQLite inside; a disk model needs it as a shared library")
