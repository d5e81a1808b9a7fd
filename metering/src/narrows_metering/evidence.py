"""
Evidence files: all records of one installation in one JSON file, `<installation id>.json`.

What the vendor hands to a customer's auditor next to a statement, and what the customer can write from the ledger
without the vendor. Any layout of `{"installation_id": …, "records": […]}` can be read; the one that is written here
has a record per line, so that two files can be compared with ordinary tools.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from narrows_metering.canonical import canonical_json
from narrows_metering.errors import RecordRefused, StatementUnreadable
from narrows_metering.record import Record

SUFFIX: Final = ".json"

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder()


def write_evidence(folder: Path, installation_id: str, records: Iterable[Record]) -> Path:
    """Write the file for *installation_id* into *folder* and return its path. Memory does not grow with *records*."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", installation_id):
        raise ValueError("the installation id cannot be the name of a file")
    path = folder / f"{installation_id}{SUFFIX}"
    with path.open("wb") as file:
        file.write(b'{"installation_id":' + canonical_json(installation_id) + b',"records":[')
        separator = b"\n"
        for record in records:
            file.write(separator + canonical_json(record.to_dict()))
            separator = b",\n"
        file.write(b"\n]}\n")
    return path


def find_evidence(folder: Path) -> dict[str, Path]:
    """The evidence files in *folder* by installation id. Raises StatementUnreadable if it is not a folder."""
    if not folder.is_dir():
        raise StatementUnreadable(f"{folder}: not a folder")
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def read_evidence(path: Path) -> Iterator[Record]:
    """
    The records in *path*, one by one as they are read.

    Raises StatementUnreadable where the file is not evidence of the installation that its name says.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StatementUnreadable(f"{path}: {error}") from None
    scanner = _Scanner(path, text)
    yield from scanner.records(path.stem)


class _Scanner:
    """Walks through one evidence file, so that a million records need not be in memory as objects at once."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._at = 0

    def records(self, installation_id: str) -> Iterator[Record]:
        stated: object = None
        has_records = False
        self._expect("{")
        while True:
            name = self._value()
            self._expect(":")
            if name == "records" and not has_records:
                has_records = True
                yield from self._list()
            elif name == "installation_id" and stated is None:
                stated = self._value()
            else:
                raise self._unreadable("a member other than installation_id and records, or one of them twice")
            if not self._goes_on("}"):
                break
        if stated != installation_id or not has_records:
            raise self._unreadable("it has no records, or is not of the installation that its name says")
        if self._skip() != len(self._text):
            raise self._unreadable("something follows the document")

    def _list(self) -> Iterator[Record]:
        self._expect("[")
        if self._text[self._skip() : self._at + 1] == "]":
            self._at += 1
            return
        while True:
            try:
                yield Record.from_dict(self._value())
            except RecordRefused as refused:
                raise self._unreadable(f"not a record: {refused}") from None
            if not self._goes_on("]"):
                return

    def _value(self) -> object:
        try:
            value, self._at = _DECODER.raw_decode(self._text, self._skip())
        except (ValueError, RecursionError) as error:
            raise self._unreadable(f"not JSON: {error}") from None
        return value

    def _goes_on(self, end: str) -> bool:
        """Whether a comma follows, rather than *end*."""
        found = self._text[self._skip() : self._at + 1]
        if found not in (",", end):
            raise self._unreadable(f"neither a comma nor {end}")
        self._at += 1
        return found == ","

    def _expect(self, mark: str) -> None:
        if self._text[self._skip() : self._at + 1] != mark:
            raise self._unreadable(f"{mark} is missing")
        self._at += 1

    def _skip(self) -> int:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._at

    def _unreadable(self, detail: str) -> StatementUnreadable:
        return StatementUnreadable(f"{self._path}, character {self._at}: {detail}")
