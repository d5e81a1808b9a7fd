"""Evidence into the ledger. Deliveries are `deliveries`' business, and what leaves the ledger is `outbox`'s."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from narrows_metering.ledger import Entry
from narrows_metering.record import Kind

from narrows.errors import UsageError
from narrows.media.quality import Metric
from narrows.reporting.background import report_soon
from narrows.savings.baseline import Baseline, Comparison, Evidence, compare, evidence_payload
from narrows.savings.baseline_spec import spec_of
from narrows.settings import Settings
from narrows.usage.machine import Meter, open_meter


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
    metrics: tuple[Metric, ...] = (Metric.MS_SSIM, Metric.PSNR),
    settings: Settings | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare *coded* with *wanted* and write one record of evidence per baseline and metric."""
    settings = settings or Settings.read()
    with open_meter(settings) as meter:
        comparison = compare(source, coded, baselines=wanted, metrics=metrics, on_step=on_step)
        now = datetime.now(UTC)
        entries = [
            Entry(kind=Kind.EVIDENCE, payload=_payload(meter, comparison, item), time=now)
            for item in comparison.evidence
        ]
        meter.append_all(entries)
    report_soon(settings)
    return comparison


def _payload(meter: Meter, comparison: Comparison, item: Evidence) -> dict[str, object]:
    return evidence_payload(meter, comparison, item) | {"baseline_sha256": spec_of(item.baseline).digest()}
