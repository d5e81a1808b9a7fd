"""
Delivered bytes from Amazon CloudFront standard logs: tab-separated, "#Version: 1.0", plain or gzip.

Reads a file of any size in little memory and adds up, per rendition and UTC day, the bytes of the requests that
delivered something: GET answered with 200 or 206. One line that cannot be read refuses the whole file, because a
total over the lines that could is not a total.

Field names: "Configure and use standard logs", Amazon CloudFront Developer Guide. `sc-bytes` includes headers.
AWS calls these logs best effort and not a complete account; they allocate traffic, the bill decides its sum.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final

from narrows_metering.canonical import INTEGER_MAX
from narrows_metering.errors import ImportFailed
from narrows_metering.record import time_to_text

SOURCE: Final = "cloudfront"
LINE_BYTES_MAX: Final = 65_536  # CloudFront cuts URIs and headers at 8,192 each.
UNMATCHED_NAMED_MAX: Final = 1_000

_GZIP_MAGIC: Final = b"\x1f\x8b"
_DELIVERING: Final = frozenset({"200", "206"})
_NEEDED: Final = ("date", "sc-bytes", "cs-method", "cs-uri-stem", "sc-status")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTotal:
    """What one log file says about one rendition on one UTC day."""

    rendition: str
    window_start: datetime
    window_end: datetime
    bytes: int
    requests: int
    source: str
    source_digest: str  # SHA-256 of the file as it is stored; the same file again gives the same.

    def payload(self) -> dict[str, object]:
        """The payload of the delivery record to append."""
        return {
            "rendition": self.rendition,
            "window_start": time_to_text(self.window_start),
            "window_end": time_to_text(self.window_end),
            "bytes": self.bytes,
            "requests": self.requests,
            "source": self.source,
            "source_digest": self.source_digest,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReading:
    """Everything that one log file says; no delivering request is missing from the sum of its parts."""

    deliveries: list[DeliveryTotal]  # By rendition and day.
    unmatched: dict[str, int]  # Requests by URI stem that is no rendition; the first UNMATCHED_NAMED_MAX stems.
    unmatched_requests: int
    unmatched_bytes: int
    ignored_requests: int  # Other methods and statuses.
    source_digest: str


def read_deliveries(path: Path, renditions: Mapping[str, str]) -> LogReading:
    """
    Add up the deliveries in the log file *path*.

    *renditions* gives the rendition id for a URI stem as it stands in the log, that is URL-encoded and with its
    leading slash. Raises ImportFailed with file, line and field; then nothing of the file counts.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            is_compressed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if not is_compressed:
                return _Adder(path, renditions, digest).add_up(file)
            with gzip.open(file, "rb") as plain:
                return _Adder(path, renditions, digest).add_up(plain)
    except OSError as error:
        raise ImportFailed(path, 0, None, str(error)) from error


class _Adder:
    """The running totals of one file."""

    def __init__(self, path: Path, renditions: Mapping[str, str], digest: str) -> None:
        self._path = path
        self._renditions = renditions
        self._digest = digest
        self._days: dict[str, datetime] = {}
        self._totals: dict[tuple[str, datetime], list[int]] = {}  # Bytes and requests.
        self._unmatched: dict[str, int] = {}
        self._unmatched_requests = 0
        self._unmatched_bytes = 0
        self._ignored = 0

    def add_up(self, file: IO[bytes] | gzip.GzipFile) -> LogReading:
        columns: list[str] = []
        where: dict[str, int] = {}
        number = 0
        for number, line in self._lines(file):
            if line.startswith("#"):
                if line.startswith("#Fields:"):
                    columns = line.removeprefix("#Fields:").split()
                    where = self._columns(number, columns)
                elif line.startswith("#Version:") and line.removeprefix("#Version:").strip() != "1.0":
                    raise ImportFailed(self._path, number, "#Version", "only 1.0 is known")
                continue
            if not where:
                raise ImportFailed(self._path, number, "#Fields", "missing before the first request")
            values = line.split("\t")
            if len(values) != len(columns):
                field = columns[len(values)] if len(values) < len(columns) else None
                raise ImportFailed(self._path, number, field, f"{len(values)} values for {len(columns)} fields")
            self._take(number, *(values[where[name]] for name in _NEEDED))
        if not where:
            raise ImportFailed(self._path, number, "#Fields", "missing: not a CloudFront standard log")
        return LogReading(
            deliveries=[
                DeliveryTotal(
                    rendition=rendition,
                    window_start=day,
                    window_end=day + timedelta(days=1),
                    bytes=total[0],
                    requests=total[1],
                    source=SOURCE,
                    source_digest=self._digest,
                )
                for (rendition, day), total in sorted(self._totals.items())
            ],
            unmatched=self._unmatched,
            unmatched_requests=self._unmatched_requests,
            unmatched_bytes=self._unmatched_bytes,
            ignored_requests=self._ignored,
            source_digest=self._digest,
        )

    def _lines(self, file: IO[bytes] | gzip.GzipFile) -> Iterator[tuple[int, str]]:
        number = 0
        while True:
            number += 1
            try:
                line = file.readline(LINE_BYTES_MAX + 1)
                if not line:
                    return
                if len(line) > LINE_BYTES_MAX:
                    raise ImportFailed(self._path, number, None, f"more than {LINE_BYTES_MAX} bytes")
                text = line.decode("utf-8").rstrip("\r\n")
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise ImportFailed(self._path, number, None, f"the gzip file is damaged: {error}") from error
            except UnicodeDecodeError:
                raise ImportFailed(self._path, number, None, "not UTF-8") from None
            if text:
                yield number, text

    def _columns(self, number: int, columns: list[str]) -> dict[str, int]:
        for name in _NEEDED:
            if columns.count(name) != 1:
                raise ImportFailed(self._path, number, name, "not exactly once among the fields")
        return {name: columns.index(name) for name in _NEEDED}

    def _take(self, number: int, date: str, size: str, method: str, stem: str, status: str) -> None:
        day = self._days.get(date) or self._day(number, date)
        if not size.isascii() or not size.isdigit() or len(size) > 16 or int(size) > INTEGER_MAX:
            raise ImportFailed(self._path, number, "sc-bytes", f"{size[:32]!r} is not a number of bytes")
        if not (status.isascii() and status.isdigit() and len(status) == 3):
            raise ImportFailed(self._path, number, "sc-status", f"{status[:32]!r} is not a status")
        if method != "GET" or status not in _DELIVERING:
            self._ignored += 1
            return
        rendition = self._renditions.get(stem)
        if rendition is None:
            self._unmatched_requests += 1
            self._unmatched_bytes += int(size)
            if stem in self._unmatched or len(self._unmatched) < UNMATCHED_NAMED_MAX:
                self._unmatched[stem] = self._unmatched.get(stem, 0) + 1
            return
        total = self._totals.setdefault((rendition, day), [0, 0])
        total[0] += int(size)
        total[1] += 1

    def _day(self, number: int, date: str) -> datetime:
        try:
            day = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            day = None
        if day is None or day.strftime("%Y-%m-%d") != date:
            raise ImportFailed(self._path, number, "date", f"{date[:32]!r} is not a day of the form 2026-11-23")
        self._days[date] = day
        return day
