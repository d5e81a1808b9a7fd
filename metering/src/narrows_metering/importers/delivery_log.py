"""
Delivered bytes from the logs of any CDN: totals per rendition, CDN, region and window, for the ledger.

Counts the requests that delivered something: GET answered with 200 or 206. A request that stands in several files
counts in the first of them, if the log tells requests apart. One line that cannot be read refuses its file, because a
total over the lines that could is not a total. Running an import again, or with more files, gives the same totals for
the same files; the ledger recognises them by the digest of the file. CDNs call their logs best effort: the bill decides
their sum (`reconciliation`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from narrows_metering.canonical import INTEGER_MAX
from narrows_metering.errors import ImportFailed
from narrows_metering.importers.formats import FIELDS, Fields, LogFormat
from narrows_metering.importers.requests_table import add_file, open_table
from narrows_metering.payload import BASELINE_ARM
from narrows_metering.record import time_to_text

if TYPE_CHECKING:
    import duckdb

DAY: Final = timedelta(days=1)
FIVE_MINUTES: Final = timedelta(minutes=5)
UNMATCHED_NAMED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTotal:
    """What one log file says about one rendition in one window and region."""

    rendition: str
    window_start: datetime
    window_end: datetime
    bytes: int
    requests: int
    source: str
    source_digest: str  # SHA-256 of the file as it is stored; the same file again gives the same.
    cdn: str = ""
    region: str = ""
    played_ms: int = 0  # Of what players said (CMCD); 0 where nothing does.
    arm: str = ""  # BASELINE_ARM: sessions with the baseline's ladder, counted under our rendition of the same title.
    source_bytes: int = 0  # How long the file was; a longer one that begins with it has grown.

    def payload(self) -> dict[str, object]:
        """The payload of the delivery record to append."""
        payload: dict[str, object] = {
            "rendition": self.rendition,
            "window_start": time_to_text(self.window_start),
            "window_end": time_to_text(self.window_end),
            "bytes": self.bytes,
            "requests": self.requests,
            "source": self.source,
            "source_digest": self.source_digest,
        }
        optional = {
            "cdn": self.cdn,
            "region": self.region,
            "played_ms": self.played_ms,
            "arm": self.arm,
            "source_bytes": self.source_bytes,
        }
        return payload | {name: value for name, value in optional.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReading:
    """Everything that the log files say; no delivering request is missing from the sum of its parts."""

    deliveries: list[DeliveryTotal]  # By file, rendition, window and region.
    unmatched: dict[str, int]  # Requests by path that is no rendition; the most frequent UNMATCHED_NAMED_MAX.
    unmatched_requests: int
    unmatched_bytes: int
    ignored_requests: int  # Other methods and statuses.
    cell_bytes: dict[tuple[str, date], int]  # Everything that was sent, ours or not, by region and day: what is billed.
    repeated_requests: int  # The same request id again.
    repeated_files: tuple[Path, ...]  # The same bytes as a file before it.


def read_deliveries(
    paths: Sequence[Path],
    renditions: Mapping[str, str],
    *,
    log_format: LogFormat,
    fields: Fields | None = None,
    cdn: str = "",
    region_of: Callable[[str], str] = lambda _: "",
    window: timedelta = DAY,
    baseline_renditions: Mapping[str, str] | None = None,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> LogReading:
    """
    Add up the deliveries in the log files *paths*.

    *renditions* gives the rendition id for a path as it stands in the log, that is URL-encoded and with its leading
    slash, *baseline_renditions* our rendition for a path of the baseline's ladder (M4), *region_of* the tariff's region
    for a log's location. *fields* are needed for `generic` alone. Raises ImportFailed with file, line and field; then
    nothing counts.
    """
    known = fields or FIELDS[log_format]
    digests: dict[str, int] = {}
    repeated = []
    with open_table() as table:
        for number, path in enumerate(paths):
            digest = _digest(path)
            if digest in digests:
                repeated.append(path)
                continue
            digests[digest] = number
            add_file(table, number, path, log_format, known)
            on_file(number + 1, len(paths))
        _interpret(table, paths, known)
        served = [(stem, name, "") for stem, name in sorted(renditions.items())]
        served += [(stem, name, BASELINE_ARM) for stem, name in sorted((baseline_renditions or {}).items())]
        reading = _add_up(table, served, window, region_of)
    by_number = {number: digest for digest, number in digests.items()}
    return replace(
        reading,
        deliveries=[
            replace(
                total,
                source=log_format.value,
                source_digest=by_number[int(total.source_digest)],
                source_bytes=paths[int(total.source_digest)].stat().st_size,
                cdn=cdn,
            )
            for total in reading.deliveries
        ],
        repeated_files=tuple(repeated),
    )


# Seconds since 1970 in the several ways in which logs write a time; NULL for what is none of them.
_SECONDS: Final = r"""
CASE
  WHEN regexp_full_match(moment, '\d{9,10}(\.\d+)?') THEN CAST(split_part(moment, '.', 1) AS BIGINT)
  WHEN regexp_full_match(moment, '\d{12,13}') THEN CAST(moment AS BIGINT) // 1000
  WHEN regexp_full_match(moment, '\d{18,19}') THEN CAST(moment AS BIGINT) // 1000000000
  WHEN regexp_full_match(moment, '\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}')
    THEN CAST(floor(epoch(try_strptime(moment, '%d/%b/%Y:%H:%M:%S %z'))) AS BIGINT)
  WHEN regexp_full_match(moment, '\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})?')
    THEN CAST(floor(epoch(try_cast(moment AS TIMESTAMPTZ))) AS BIGINT)
END
"""

_INTERPRET: Final = rf"""
CREATE TABLE delivery AS
SELECT file, number, {_SECONDS} AS seconds,
  -- What was not answered with content may leave its bytes out; a delivery may not.
  try_cast(CASE WHEN regexp_full_match(size, '\d{{1,16}}') THEN size WHEN size = '-' THEN '0'
    WHEN size IS NULL AND status NOT IN ('200', '206') THEN '0' END AS BIGINT) AS volume,
  CASE WHEN regexp_full_match(status, '\d{{1,3}}') THEN status END AS code,
  CASE WHEN internal = 'true' THEN '(internal)' ELSE method END AS verb,
  '/' || ltrim(regexp_extract(path, '^(?:[a-z]+://[^/?#]*)?([^?#]*)', 1), '/') AS stem,
  nullif(nullif(request_id, ''), '-') AS id,
  coalesce(location, '') AS place,
  coalesce(try_cast(regexp_extract(
    url_decode(regexp_extract(coalesce(path, '') || '?' || coalesce(query, ''), '[?&]CMCD=([^&]*)', 1)),
    '(?:^|,)d=(\d{{1,9}})', 1) AS BIGINT), 0) AS played,
  moment, size, status
FROM request
"""  # noqa: S608


def _interpret(table: duckdb.DuckDBPyConnection, paths: Sequence[Path], fields: Fields) -> None:
    table.execute(_INTERPRET)
    bad = table.execute(
        "SELECT file, number, seconds, volume, code, verb, stem, moment, size, status FROM delivery "  # noqa: S608
        f"WHERE seconds IS NULL OR volume IS NULL OR volume > {INTEGER_MAX} "
        "OR code IS NULL OR verb IS NULL OR stem IS NULL ORDER BY file, number LIMIT 1"
    ).fetchone()
    if bad is None:
        return
    number, line, seconds, volume, code, verb, stem, moment, size, status = bad
    faults = (
        (" ".join(fields.time), seconds is None, moment),
        (fields.bytes, volume is None or volume > INTEGER_MAX, size),
        (fields.status, code is None, status),
        (fields.method, verb is None, None),
        (fields.path, stem is None, None),
    )
    name, value = next((name, value) for name, is_bad, value in faults if is_bad)
    raise ImportFailed(paths[number], line, name, f"request {line} of the file: {str(value)[:32]!r} cannot be read")


def _add_up(
    table: duckdb.DuckDBPyConnection,
    served: Sequence[tuple[str, str, str]],
    window: timedelta,
    region_of: Callable[[str], str],
) -> LogReading:
    seconds = int(window.total_seconds())
    table.execute("CREATE TABLE rendition (stem VARCHAR, name VARCHAR, arm VARCHAR)")
    if served:
        table.executemany("INSERT INTO rendition VALUES (?, ?, ?)", [list(row) for row in served])
    table.execute(
        "CREATE VIEW once AS SELECT * FROM delivery WHERE id IS NULL UNION ALL "
        "(SELECT * FROM delivery WHERE id IS NOT NULL QUALIFY row_number() OVER "
        "(PARTITION BY id, stem, seconds, volume ORDER BY file, number) = 1)"
    )
    delivering = "verb = 'GET' AND code IN ('200', '206')"
    totals: dict[tuple[int, str, int, str, str], list[int]] = {}
    found = table.execute(
        f"SELECT file, name, arm, seconds // {seconds} * {seconds}, place, sum(volume), count(*), sum(played) "  # noqa: S608
        f"FROM once JOIN rendition USING (stem) WHERE {delivering} GROUP BY ALL"
    )
    while rows := found.fetchmany(10_000):
        for file, name, arm, start, place, volume, count, played in rows:
            total = totals.setdefault((file, name, start, region_of(place), arm), [0, 0, 0])
            for index, value in enumerate((volume, count, played)):
                total[index] += int(value)
    unmatched = table.execute(
        "SELECT stem, count(*), sum(volume) FROM once ANTI JOIN rendition USING (stem) "  # noqa: S608
        f"WHERE {delivering} GROUP BY stem ORDER BY count(*) DESC, stem"
    ).fetchall()
    cells: dict[tuple[str, date], int] = {}
    for place, start, volume in table.execute(
        "SELECT place, seconds // 86400 * 86400, sum(volume) FROM once GROUP BY ALL"
    ).fetchall():
        cell = region_of(place), datetime.fromtimestamp(start, UTC).date()
        cells[cell] = cells.get(cell, 0) + int(volume)
    everything, kept = (_count(table, f"SELECT count(*) FROM {name}") for name in ("delivery", "once"))  # noqa: S608
    return LogReading(
        deliveries=[
            DeliveryTotal(
                rendition=name,
                window_start=datetime.fromtimestamp(start, UTC),
                window_end=datetime.fromtimestamp(start, UTC) + window,
                bytes=volume,
                requests=count,
                source="",
                source_digest=str(file),  # Its number; the caller knows the digest.
                region=region,
                played_ms=played,
                arm=arm,
            )
            for (file, name, start, region, arm), (volume, count, played) in sorted(totals.items())
        ],
        unmatched={stem: int(count) for stem, count, _ in unmatched[:UNMATCHED_NAMED_MAX]},
        unmatched_requests=sum(int(count) for _, count, _ in unmatched),
        unmatched_bytes=sum(int(volume) for _, _, volume in unmatched),
        ignored_requests=_count(table, f"SELECT count(*) FROM once WHERE NOT ({delivering})"),  # noqa: S608
        cell_bytes=cells,
        repeated_requests=everything - kept,
        repeated_files=(),
    )


def _count(table: duckdb.DuckDBPyConnection, query: str) -> int:
    row = table.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImportFailed(path, 0, None, str(error)) from error
