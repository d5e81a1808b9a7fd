"""Evidence into the ledger. Deliveries are `deliveries`' business, and what leaves the ledger is `outbox`'s."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from narrows_metering.baseline_spec import BaselineSpec, known_baselines
from narrows_metering.ledger import Entry
from narrows_metering.record import Kind

from narrows.errors import UsageError
from narrows.media.quality import Metric
from narrows.reporting.background import report_soon
from narrows.savings.baseline import DEFAULT_METRICS, Comparison, compare, evidence_payload
from narrows.savings.segmentation import SegmentDraw
from narrows.settings import Settings
from narrows.usage.machine import open_meter

DEFAULT_BASELINES = ("libx264-medium", "libx265-medium")


def baselines(names: Sequence[str] | None) -> tuple[BaselineSpec, ...]:
    """
    The baselines that *names* name, x264 and x265 without any; a name that ends in .json is the file of a document.

    Raises UsageError for one that is not known or cannot be read.
    """
    return tuple(_baseline(name) for name in names or DEFAULT_BASELINES)


def _baseline(name: str) -> BaselineSpec:
    if name.endswith(".json"):
        try:
            return BaselineSpec.from_dict(json.loads(Path(name).read_bytes()))
        except (OSError, ValueError) as error:
            raise UsageError(f"{name}: not a baseline: {error}") from error
    known = known_baselines()
    if name not in known:
        raise UsageError(f"{name!r} is not a baseline; known are {', '.join(sorted(known))}, and documents *.json")
    return known[name]


def record_evidence(
    source: Path,
    coded: Path,
    wanted: Sequence[BaselineSpec],
    *,
    metrics: tuple[Metric, ...] = DEFAULT_METRICS,
    draw: SegmentDraw | None = None,
    settings: Settings | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare *coded* with *wanted* and write one record of evidence per baseline and metric."""
    settings = settings or Settings.read()
    with open_meter(settings) as meter:
        comparison = compare(source, coded, baselines=wanted, metrics=metrics, draw=draw, on_step=on_step)
        now = datetime.now(UTC)
        entries = [
            Entry(kind=Kind.EVIDENCE, payload=evidence_payload(meter, comparison, item), time=now)
            for item in comparison.evidence
        ]
        meter.append_all(entries)
    report_soon(settings)
    return comparison
