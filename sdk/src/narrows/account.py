"""What the command line puts into the ledger: evidence and deliveries. What leaves it is `outbox`'s business."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from narrows_metering.importers.cloudfront import read_deliveries
from narrows_metering.ledger import Entry
from narrows_metering.record import Kind

from narrows.background import report_soon
from narrows.baseline import Baseline, Comparison, compare, evidence_payload
from narrows.errors import UsageError
from narrows.files import coded_digest
from narrows.session import rendition_id
from narrows.settings import Settings
from narrows.usage import open_meter


def baselines(names: list[str] | None) -> tuple[Baseline, ...]:
    """The baselines that *names* name, all of them without any; raises UsageError for an unknown one."""
    try:
        return tuple(Baseline(name) for name in names) if names else tuple(Baseline)
    except ValueError as error:
        raise UsageError(f"{error}; known are {', '.join(Baseline)}") from error


def record_evidence(
    source: Path,
    coded: Path,
    wanted: tuple[Baseline, ...],
    *,
    settings: Settings | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare *coded* with *wanted* and write one record of evidence per baseline and metric."""
    settings = settings or Settings.read()
    with open_meter(settings) as meter:
        comparison = compare(source, coded, baselines=wanted, on_step=on_step)
        now = datetime.now(UTC)
        entries = [
            Entry(kind=Kind.EVIDENCE, payload=evidence_payload(meter, comparison, item), time=now)
            for item in comparison.evidence
        ]
        meter.append_all(entries)
    report_soon(settings)
    return comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import of a delivery log added: one record per rendition and day."""

    record_count: int
    delivered_bytes: int
    request_count: int
    unmatched_requests: int
    already_known: bool


def import_deliveries(log: Path, files: Mapping[str, Path], *, settings: Settings | None = None) -> Imported:
    """
    Read a CloudFront log and record what it delivered of our files. Importing it again adds nothing.

    *files* maps the path in the log's URLs to the coded file that was served there.
    """
    settings = settings or Settings.read()
    with open_meter(settings) as meter:
        renditions = {stem: rendition_id(meter, coded_digest(path)) for stem, path in files.items()}
        read = read_deliveries(log, renditions)
        known = {
            (r.payload["source_digest"], r.payload["rendition"], r.payload["window_start"])
            for r in meter.ledger.records()
            if r.kind is Kind.DELIVERY
        }
        payloads = [total.payload() for total in read.deliveries]
        is_new = [(p["source_digest"], p["rendition"], p["window_start"]) not in known for p in payloads]
        fresh = [p for p, is_fresh in zip(payloads, is_new, strict=True) if is_fresh]
        now = datetime.now(UTC)
        meter.append_all([Entry(kind=Kind.DELIVERY, payload=p, time=now) for p in fresh])
    report_soon(settings)
    added = [t for t, is_fresh in zip(read.deliveries, is_new, strict=True) if is_fresh]
    return Imported(
        record_count=len(added),
        delivered_bytes=sum(t.bytes for t in added),
        request_count=sum(t.requests for t in added),
        unmatched_requests=read.unmatched_requests,
        already_known=bool(payloads) and not fresh,
    )
