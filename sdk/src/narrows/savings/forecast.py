"""
What Narrows would save on a library that is not coded with it yet: measured on a sample, weighed with real traffic.

The log says which files are watched; a sample that nobody picks is encoded and compared with the baseline; the tariff
says what the bytes cost. It is assumed that what is delivered today is coded as well as the baseline: where it is coded
worse, more would be saved. Nothing is recorded, and a forecast is never billed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from tempfile import TemporaryDirectory

from narrows_metering.baseline_spec import BaselineSpec
from narrows_metering.estimator import Estimate, Measured, MeasuredStratum, sampled
from narrows_metering.importers.delivery_log import read_deliveries
from narrows_metering.importers.formats import LogFormat
from narrows_metering.money import Money, cost
from narrows_metering.sampling import Sample, draw
from narrows_metering.tariff import BYTES_PER_GB, Tariff, Tier

from narrows.errors import UsageError
from narrows.media.quality import Metric
from narrows.savings.baseline import MEASURED, compare

DAYS_PER_MONTH = 30
SAMPLE_COUNT = 40
VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".mov", ".webm", ".y4m", ".ts", ".m4v"})
FILES_MAX = 100_000
TARIFF_BYTES_MAX = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What one file needs at equal quality. *baseline_bytes* is None where there is no pair, and *status* says why."""

    payload_bytes: int
    baseline_bytes: int | None
    status: str = MEASURED


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured file. *status* says why it saves nothing, where it was not measured."""

    name: str
    delivered_bytes: int
    payload_bytes: int
    baseline_bytes: int | None
    status: str = MEASURED


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Savings per month of 30 days, with the interval in which they lie in nine of ten months."""

    file_count: int
    measured_count: int
    log_days: int
    unmatched_bytes: int  # Traffic in the log that belongs to none of the files.
    delivered_bytes: int  # A month.
    saved_bytes: int
    saved_bytes_lower: int
    saved_bytes_upper: int
    cost_now: Money
    saved: Money
    saved_lower: Money
    saved_upper: Money
    rows: tuple[Row, ...]
    compared_with: str = ""  # For people: the baseline, and what equal quality means.


Measure = Callable[[Path], Pair]


def forecast(
    folder: Path,
    log: Path,
    tariff: Path,
    *,
    measure: Measure,
    log_format: LogFormat = LogFormat.CLOUDFRONT,
    count: int = SAMPLE_COUNT,
    on_file: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> Forecast:
    """
    Measure a sample of the videos in *folder* and weigh it with *log*, in which a file is known by its path in the
    folder.

    Raises UsageError if no traffic belongs to the folder, or the tariff cannot be read.
    """
    prices, currency = read_tariff(tariff)
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    if not 1 <= len(found) <= FILES_MAX:
        raise UsageError(f"{folder}: holds {len(found)} videos, not 1 to {FILES_MAX}")
    names = {f"/{path.relative_to(folder).as_posix()}": path for path in found}
    read = read_deliveries([log], {name: name for name in names}, log_format=log_format)
    delivered: dict[str, int] = {}
    for total in read.deliveries:
        delivered[total.rendition] = delivered.get(total.rendition, 0) + total.bytes
    if not sum(delivered.values()):
        raise UsageError(
            f"{log}: no request is for a file of {folder}; paths begin behind it, such as {next(iter(names))}"
        )
    days = len({total.window_start for total in read.deliveries})
    # The log decides the draw: whoever wants another sample needs another month.
    sample = draw(delivered, hashlib.sha256(log.read_bytes()).digest(), count=count)
    rows, chosen = [], [*sample.certainty, *sample.tail]
    for number, name in enumerate(chosen):
        on_file(name, number, len(chosen))
        pair = measure(names[name])
        rows.append(
            Row(
                name=name,
                delivered_bytes=delivered[name],
                payload_bytes=pair.payload_bytes,
                baseline_bytes=pair.baseline_bytes,
                status=pair.status,
            )
        )
    estimate = _estimate(sample, {row.name: row for row in rows})
    return _forecast(rows, estimate, sum(delivered.values()), days, read.unmatched_bytes, len(names), prices, currency)


def measured_by_encoding(*, baseline: BaselineSpec, metric: Metric) -> Measure:
    """Encodes a file with our codec and compares it with *baseline*, in a folder that is removed again."""
    from narrows import files

    def measure(source: Path) -> Pair:
        with TemporaryDirectory(prefix="narrows-forecast-") as folder:
            coded = files.encode(source, Path(folder) / "coded.mkv").target
            (evidence,) = compare(source, coded, baselines=(baseline,), metrics=(metric,)).evidence
        return Pair(
            payload_bytes=evidence.payload_bytes, baseline_bytes=evidence.baseline_bytes, status=evidence.status
        )

    return measure


def read_tariff(path: Path) -> tuple[Tariff, str]:
    """A tariff and its currency: {"currency": "EUR", "tiers": [{"up_to_gb": 10000, "price_per_gb": "0.085"}, …]}."""
    try:
        if path.stat().st_size > TARIFF_BYTES_MAX:
            raise UsageError(f"{path}: more than {TARIFF_BYTES_MAX} bytes")
        document = json.loads(path.read_text("utf-8"), parse_float=Decimal)
        tiers = tuple(_tier(tier) for tier in document["tiers"])
        tariff = Tariff(tariff_id=path.stem, tiers=tiers)
        cost(0, tariff, currency=document["currency"])
    except (OSError, KeyError, TypeError, AttributeError, ValueError, InvalidOperation) as error:
        raise UsageError(f"{path}: not a tariff: {error}") from error
    return tariff, document["currency"]


def _tier(tier: Mapping[str, object]) -> Tier:
    limit = tier.get("up_to_gb")
    if limit is not None and type(limit) is not int:
        raise ValueError("up_to_gb: neither an integer nor null")
    return Tier(
        up_to_bytes=None if limit is None else int(str(limit)) * BYTES_PER_GB,
        price_per_gb=Decimal(str(tier["price_per_gb"])),
    )


def _estimate(sample: Sample, rows: Mapping[str, Row]) -> Estimate:
    def measured(names: Sequence[str]) -> list[Measured]:
        chosen = [rows[name] for name in names]
        return [Measured(delivered_bytes=row.delivered_bytes, saved_bytes=saved_of(row)) for row in chosen]

    strata = [MeasuredStratum(bytes=stratum.bytes, drawn=measured(stratum.drawn)) for stratum in sample.strata]
    return sampled(measured(sample.certainty), strata)


def saved_of(row: Row) -> int:
    """What would not be delivered of a file any more; negative where we need more than the baseline."""
    if not row.baseline_bytes:
        return 0
    return row.delivered_bytes * (row.baseline_bytes - row.payload_bytes) // row.baseline_bytes


def _forecast(
    rows: Sequence[Row],
    estimate: Estimate,
    delivered: int,
    days: int,
    unmatched: int,
    file_count: int,
    tariff: Tariff,
    currency: str,
) -> Forecast:
    def monthly(volume: int) -> int:
        return volume * DAYS_PER_MONTH // days

    now = monthly(delivered)

    def worth(saved: int) -> Money:
        left = max(0, now - monthly(saved))
        return cost(now, tariff, currency=currency) - cost(left, tariff, currency=currency)

    return Forecast(
        file_count=file_count,
        measured_count=len(rows),
        log_days=days,
        unmatched_bytes=unmatched,
        delivered_bytes=now,
        saved_bytes=monthly(estimate.saved_bytes),
        saved_bytes_lower=monthly(estimate.lower_bytes),
        saved_bytes_upper=monthly(estimate.upper_bytes),
        cost_now=cost(now, tariff, currency=currency),
        saved=worth(estimate.saved_bytes),
        saved_lower=worth(estimate.lower_bytes),
        saved_upper=worth(estimate.upper_bytes),
        rows=tuple(rows),
    )
