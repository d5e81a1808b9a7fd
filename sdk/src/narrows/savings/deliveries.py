"""
Deliveries into the ledger: what CDNs' logs say of our files, checked against the CDN's own usage report.

Reading logs is `narrows_metering.importers`' work. Nothing is recorded unless all of it can be.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from narrows_metering.importers.delivery_log import DAY, DeliveryTotal, LogReading, read_deliveries
from narrows_metering.importers.formats import Fields, LogFormat, mapped_fields
from narrows_metering.importers.reconciliation import Agreement, Cell, Reconciled, reconcile, scale
from narrows_metering.ledger import Entry
from narrows_metering.record import Kind

from narrows.errors import UsageError
from narrows.files import coded_digest
from narrows.reporting.background import report_soon
from narrows.savings.grown_files import only_new
from narrows.session.tally import rendition_id
from narrows.settings import Settings
from narrows.usage.machine import open_meter

SETTING_BYTES_MAX = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import of delivery logs added: one record per file, rendition, region and window."""

    record_count: int
    delivered_bytes: int
    request_count: int
    unmatched_requests: int
    ignored_requests: int
    repeated_requests: int
    repeated_files: int
    already_known: bool
    reconciled: tuple[Reconciled, ...]  # Every region and day beside the CDN's report; none without a report.
    held: bool  # One of them differs by more than 5 %: nothing was recorded.


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """How logs are to be read. Without *mapping* the format's own field names hold."""

    log_format: LogFormat = LogFormat.CLOUDFRONT
    cdn: str = ""
    mapping: Path | None = None  # JSON: {"time": "ts", "bytes": "sent", "path": "uri", …}.
    regions: Path | None = None  # JSON: {"FRA": "eu", …}; the longest beginning of a location decides.
    usage_report: Path | None = None  # CSV with the columns region, day, bytes.
    window: timedelta = DAY
    is_check: bool = False  # Read and compare, and record nothing.


def import_deliveries(
    logs: Sequence[Path],
    files: Mapping[str, Path],
    *,
    how: Import | None = None,
    baseline_files: Mapping[str, Path] | None = None,
    settings: Settings | None = None,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> Imported:
    """
    Read the delivery logs *logs* and record what they delivered of our files. Importing them again adds nothing.

    Of a file that has grown since its last import, what is new counts. *files* maps the path in the log's URLs to the
    coded file that was served there; *baseline_files* the path of the baseline's file to our coded file of the same
    title, for a contract that holds out sessions (M4).
    """
    how = how or Import()
    fields, region_of = _fields(how), _region_of(how.regions)
    billed = _billed(how.usage_report) if how.usage_report else None
    settings = settings or Settings.read()
    with open_meter(settings) as meter:
        renditions = {stem: rendition_id(meter, coded_digest(path)) for stem, path in files.items()}
        held_out = {stem: rendition_id(meter, coded_digest(path)) for stem, path in (baseline_files or {}).items()}
        read = read_deliveries(
            logs,
            renditions,
            baseline_renditions=held_out,
            log_format=how.log_format,
            fields=fields,
            cdn=how.cdn,
            region_of=region_of,
            window=how.window,
            on_file=on_file,
        )
        cells = () if billed is None else reconcile(read.cell_bytes, billed)
        if any(cell.agreement is Agreement.HELD for cell in cells):
            return _outcome(read, [], cells, already_known=False)
        totals = read.deliveries if billed is None else scale(read.deliveries, cells)
        recorded = [record.payload for record in meter.ledger.records() if record.kind is Kind.DELIVERY]
        known = {_key(payload) for payload in recorded}
        unknown = [total for total in totals if _key(total.payload()) not in known]
        fresh = only_new(unknown, logs, recorded) if unknown else []
        if how.is_check:
            return _outcome(read, [], cells, already_known=bool(totals) and not fresh)
        now = datetime.now(UTC)
        meter.append_all([Entry(kind=Kind.DELIVERY, payload=total.payload(), time=now) for total in fresh])
    report_soon(settings)
    return _outcome(read, fresh, cells, already_known=bool(totals) and not fresh)


def _outcome(
    read: LogReading, added: list[DeliveryTotal], cells: tuple[Reconciled, ...], *, already_known: bool
) -> Imported:
    return Imported(
        record_count=len(added),
        delivered_bytes=sum(total.bytes for total in added),
        request_count=sum(total.requests for total in added),
        unmatched_requests=read.unmatched_requests,
        ignored_requests=read.ignored_requests,
        repeated_requests=read.repeated_requests,
        repeated_files=len(read.repeated_files),
        already_known=already_known,
        reconciled=cells,
        held=any(cell.agreement is Agreement.HELD for cell in cells),
    )


def _key(payload: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(payload.get(name) for name in ("source_digest", "rendition", "window_start", "region", "arm"))


def _fields(how: Import) -> Fields | None:
    if how.mapping is None:
        if how.log_format is LogFormat.GENERIC:
            raise UsageError('a generic log needs --mapping, a JSON file such as {"time": "ts", "bytes": …}')
        return None
    try:
        return mapped_fields(_object(how.mapping))
    except ValueError as error:
        raise UsageError(f"{how.mapping}: {error}") from error


def _region_of(path: Path | None) -> Callable[[str], str]:
    if path is None:
        return lambda _: ""
    regions = sorted(_object(path).items(), key=lambda pair: -len(pair[0]))
    if not all(isinstance(region, str) for _, region in regions):
        raise UsageError(f"{path}: a region is text")
    return lambda location: next((str(region) for start, region in regions if location.startswith(start)), "")


def _billed(path: Path) -> dict[Cell, int]:
    """What the CDN bills, by region and day."""
    billed: dict[Cell, int] = {}
    for number, row in enumerate(csv.DictReader(_text(path).splitlines()), 2):
        try:
            cell = row["region"], date.fromisoformat(row["day"])
            if not row["bytes"].isdecimal():
                raise ValueError("bytes: not a number of bytes")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{path}, line {number}: needs the columns region, day and bytes: {error}") from error
        billed[cell] = billed.get(cell, 0) + int(row["bytes"])
    return billed


def _object(path: Path) -> dict[str, object]:
    try:
        document = json.loads(_text(path))
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path}: not a JSON object")
    return document


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > SETTING_BYTES_MAX:
            raise UsageError(f"{path}: more than {SETTING_BYTES_MAX} bytes")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
