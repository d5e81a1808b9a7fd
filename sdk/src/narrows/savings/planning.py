"""
The month's sample from this machine's records, and measuring what it still lacks.

Which renditions are drawn is `narrows_metering.plan`'s to say; here ledgers, files and names come together. Asset and
rendition ids are pseudonyms, so only who has the coded files can say which they are.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from narrows_metering.baseline_spec import BaselineSpec
from narrows_metering.errors import MeteringError
from narrows_metering.evidence import find_evidence, read_evidence
from narrows_metering.period import Period
from narrows_metering.plan import FORMAT, Plan, plan
from narrows_metering.terms import Terms

from narrows.errors import UsageError
from narrows.files import coded_digest
from narrows.media.quality import Metric, available_metrics
from narrows.savings.account import baselines, record_evidence
from narrows.savings.reproduction import to_document
from narrows.savings.segmentation import SegmentDraw
from narrows.session.tally import rendition_id
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows.usage.record_files import own_records

DOCUMENT_BYTES_MAX = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A coded file and what it was encoded from."""

    source: Path
    coded: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What became of one rendition of a plan."""

    rendition: str
    coded: Path
    status: str  # Of the contract's metric.
    bytes: int
    baseline_bytes: int | None
    evidence: Path | None  # The file that can be reproduced.


def read_terms(path: Path) -> tuple[Terms, str]:
    """
    The terms in *path* and their time zone: a document of terms, or a statement that holds them. Raises UsageError.
    """
    document = _object(path)
    period = document.get("period")
    zone = str(period.get("time_zone", "UTC")) if isinstance(period, dict) else "UTC"
    try:
        return Terms.from_dict(document.get("contract", document)), zone
    except MeteringError as error:
        raise UsageError(f"{path}: not the terms of a contract: {error}") from error


def read_pairs(path: Path) -> tuple[Pair, ...]:
    """A CSV with the columns source and coded; paths are relative to it. Raises UsageError."""
    try:
        rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
        pairs = [Pair(source=path.parent / row["source"], coded=path.parent / row["coded"]) for row in rows]
    except (OSError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: needs the columns source and coded: {error}") from error
    for pair in pairs:
        for file in (pair.source, pair.coded):
            if not file.is_file():
                raise UsageError(f"{path}: {file} is not there")
    return tuple(pairs)


def make_plan(terms: Terms, period: Period, *, others: Path | None = None, settings: Settings | None = None) -> Plan:
    """
    The plan of *period* from the ledgers of this machine, and the records of other installations in the folder
    *others*, one file each, as `narrows-recompute` reads them. Raises UsageError, also if records were altered.
    """
    settings = settings or Settings.read()
    with own_records(settings) as own:
        files = {} if others is None else find_evidence(others)
        ours = {name: run.records for name, run in own.items()}
        theirs = {name: read_evidence(path) for name, path in files.items() if name not in ours}
        try:
            return plan(terms, period=period, records_by_installation={**ours, **theirs})
        except MeteringError as error:
            raise UsageError(str(error)) from error


def known_files(pairs: Sequence[Pair], *, settings: Settings | None = None) -> dict[str, Pair]:
    """*pairs* by the id of their rendition."""
    with open_meter(settings or Settings.read()) as meter:
        return {rendition_id(meter, coded_digest(pair.coded)): pair for pair in pairs}


def read_plan(path: Path) -> dict[str, Any]:
    """A plan that `narrows savings plan --out` wrote. Raises UsageError."""
    document = _object(path)
    if document.get("format") != FORMAT:
        raise UsageError(f"{path}: format: not {FORMAT}")
    return document


def measure_plan(
    document: Mapping[str, Any],
    pairs: Sequence[Pair],
    *,
    evidence_folder: Path | None = None,
    settings: Settings | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Iterator[Measured]:
    """
    Measure and record, one by one, what the plan lacks and *pairs* has files for.

    What was recorded stays recorded if a later one fails. Raises UsageError and VideoError.
    """
    settings = settings or Settings.read()
    try:
        spec = document["baseline"]
        specs = baselines([document["baseline_id"]]) if spec is None else (BaselineSpec.from_dict(spec),)
        metric = Metric(document["metric"])
        wanted, seed = document["segment_count"], bytes.fromhex(document["seed"])
        month = str(document["period"]["month"])
        lacking = [one["rendition"] for one in document["renditions"] if one["lacks"] is not None]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the plan cannot be read: {error}") from error
    if metric not in available_metrics():
        raise UsageError(f"the plan asks for {metric.value}; run: pip install narrows[vmaf]")
    files = known_files(pairs, settings=settings)
    metrics = tuple(dict.fromkeys((metric, Metric.PSNR)))
    for number, rendition in enumerate(name for name in lacking if name in files):
        pair = files[rendition]
        on_step(f"{number + 1}: {pair.coded.name}")
        draw = None
        if wanted is not None:
            draw = SegmentDraw(period=month, seed=seed, wanted=wanted, rendition=rendition)
        comparison = record_evidence(
            pair.source, pair.coded, specs, metrics=metrics, draw=draw, settings=settings, on_step=on_step
        )
        path = None
        if evidence_folder is not None:
            path = evidence_folder / f"{rendition}.json"
            _write(path, to_document(comparison, pair.source, pair.coded, specs, draw))
        found = next(item for item in comparison.evidence if item.metric is metric)
        yield Measured(
            rendition=rendition,
            coded=pair.coded,
            status=found.status,
            bytes=found.payload_bytes,
            baseline_bytes=found.baseline_bytes,
            evidence=path,
        )


def _object(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > DOCUMENT_BYTES_MAX:
            raise UsageError(f"{path}: more than {DOCUMENT_BYTES_MAX} bytes")
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path}: not a JSON object")
    return document


def _write(path: Path, document: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error}") from error
