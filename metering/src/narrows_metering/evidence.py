"""
Evidence files: all records of one installation in one JSON file, `<installation id>.json`.

What the vendor hands to a customer's auditor next to a statement, and what the customer can write from the ledger
without the vendor. There is one layout, a canonical record per line: so two files can be compared with ordinary tools,
a file is read line by line in little memory, and no byte of it can be changed without being noticed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from narrows_metering.canonical import canonical_json
from narrows_metering.errors import RecordRefused, StatementUnreadable
from narrows_metering.record import PAYLOAD_BYTES_MAX, Record

SUFFIX: Final = ".json"
LINE_BYTES_MAX: Final = PAYLOAD_BYTES_MAX + 1_024  # Around the payload stand two hashes, a number, a time and a kind.

_HASH_MEMBER_BYTES: Final = len('{"hash":"') + 64 + len('",')


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line(Record):
    """A record as it stands in a file, with what the file's own bytes hash to."""

    digest: str = ""

    def computed_hash(self) -> str:
        # The line is canonical, so these are the bytes that `canonical_bytes` would write again.
        return self.digest


def write_evidence(folder: Path, installation_id: str, records: Iterable[Record]) -> Path:
    """Write the file for *installation_id* into *folder* and return its path. Memory does not grow with *records*."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", installation_id):
        raise ValueError("the installation id cannot be the name of a file")
    path = folder / f"{installation_id}{SUFFIX}"
    with path.open("wb") as file:
        file.write(_first_line(installation_id))
        separator = b""
        for record in records:
            file.write(separator + canonical_json(record.to_dict()))
            separator = b",\n"
        file.write(_last_line(is_empty=not separator))
    return path


def find_evidence(folder: Path) -> dict[str, Path]:
    """The evidence files in *folder* by installation id. Raises StatementUnreadable if it is not a folder."""
    if not folder.is_dir():
        raise StatementUnreadable(f"{folder}: not a folder")
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def read_evidence(path: Path) -> Iterator[Record]:
    """
    The records in *path*, one by one as they are read.

    Raises StatementUnreadable, naming the line, where the file is not what `write_evidence` writes for the installation
    that its name says. Whether the records hold is for `chain` to check.
    """
    try:
        with path.open("rb") as file:
            yield from _records(path, file)
    except OSError as error:
        raise StatementUnreadable(f"{path}: {error}") from None


def _records(path: Path, file: BinaryIO) -> Iterator[Record]:
    if file.readline(LINE_BYTES_MAX) != _first_line(path.stem):
        raise _unreadable(path, 1, "not evidence of the installation that its name says")
    number = 1
    is_last = False
    while line := file.readline(LINE_BYTES_MAX):
        number += 1
        if line == _last_line(is_empty=True) and number == 2:
            is_last = True
            break
        is_last = not line.endswith(b",\n")
        if is_last and not line.endswith(b"\n"):
            raise _unreadable(path, number, f"cut short, or more than {LINE_BYTES_MAX} bytes")
        yield _record(path, number, line[:-1] if is_last else line[:-2])
        if is_last:
            if file.readline(LINE_BYTES_MAX) != _last_line(is_empty=True):
                raise _unreadable(path, number + 1, "neither a comma before it nor the end of the document")
            number += 1
            break
    if not is_last:
        raise _unreadable(path, number + 1, "the end of the document is missing")
    if file.read(1):
        raise _unreadable(path, number + 1, "something follows the document")


def _record(path: Path, number: int, text: bytes) -> Record:
    try:
        document = orjson.loads(text)
        # One meaning, one text. Also catches what orjson reads as a float because it is beyond 64 bits.
        if orjson.dumps(document, option=orjson.OPT_SORT_KEYS) != text:
            raise _unreadable(path, number, "not the one spelling of a record (RFC 8785)")
        record = _Line.from_dict(document)
    except (ValueError, RecordRefused) as error:
        raise _unreadable(path, number, f"not a record: {error}") from None
    # The one place that may: nobody else has the record yet, and building it twice would cost a tenth of the time.
    object.__setattr__(record, "digest", hashlib.sha256(b"{" + text[_HASH_MEMBER_BYTES:]).hexdigest())
    return record


def _first_line(installation_id: str) -> bytes:
    return b'{"installation_id":' + canonical_json(installation_id) + b',"records":[\n'


def _last_line(*, is_empty: bool) -> bytes:
    return b"]}\n" if is_empty else b"\n]}\n"


def _unreadable(path: Path, number: int, detail: str) -> StatementUnreadable:
    return StatementUnreadable(f"{path}, line {number}: {detail}")
