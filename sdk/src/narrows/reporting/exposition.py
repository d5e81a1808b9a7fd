"""
The status of usage in the text format that Prometheus reads (exposition format 0.0.4), for a textfile collector.

Everything is a gauge: the head of a ledger begins again when an installation goes on as another, so no number here
only ever grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from narrows.reporting.status import UsageStatus
from narrows.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One number with its name and meaning; *value* is None where there is nothing to say."""

    name: str
    meaning: str
    value: int | float | None
    labels: tuple[tuple[str, str], ...] = ()


def exposition(status: UsageStatus) -> str:
    """The text for *status*; what is unknown is left out, as Prometheus wants it."""
    return "".join(_lines(gauge) for gauge in _gauges(status) if gauge.value is not None)


def _gauges(status: UsageStatus) -> Iterator[Gauge]:
    about = (("installation", status.installation), ("version", VERSION))
    yield Gauge(name="narrows_usage_info", meaning="The installation that records here.", value=1, labels=about)
    for name, meaning, value in (
        ("records", "Number of the ledger's last record.", status.records),
        ("acknowledged_records", "Number of the last record that a receipt covers.", status.acknowledged),
        ("unreported_records", "Records without a receipt, of earlier installations too.", status.unreported),
        ("earlier_installations_open", "Earlier installations with records to report.", len(status.earlier)),
        ("ledger_damaged", "1 if the ledger is damaged.", int(status.damage is not None)),
        ("failed_attempts", "Attempts to report that failed in a row.", status.failed_attempts),
        ("reserve_bytes", "Bytes held on the disk for a record in flight.", status.reserve_bytes),
        ("last_receipt_timestamp_seconds", "When the server gave the last receipt.", _unix(status.last_receipt)),
        ("last_attempt_timestamp_seconds", "When reporting was last tried.", _unix(status.last_attempt)),
        ("last_success_timestamp_seconds", "When reporting last went well.", _unix(status.last_success)),
        ("next_attempt_timestamp_seconds", "Before when nothing is tried.", _unix(status.next_attempt)),
    ):
        yield Gauge(name=f"narrows_usage_{name}", meaning=meaning, value=value)


def _lines(gauge: Gauge) -> str:
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in gauge.labels)
    sample = f"{gauge.name}{{{labels}}}" if labels else gauge.name
    return f"# HELP {gauge.name} {gauge.meaning}\n# TYPE {gauge.name} gauge\n{sample} {gauge.value!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _unix(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
