"""
The savings statement: the monthly account of one contract, as one JSON document that anybody can recompute.

Pure: records and terms in, document out; no clock, no database, no network. What cannot be proved saves nothing and
is listed under `exceptions` with its reason; assets on which we lose count against us.

All traffic is valued, not only what saved something: bytes without usable evidence stand on both sides of the
comparison, because in a graduated tariff they decide which tier the saved bytes would have fallen into.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from narrows_metering.canonical import INTEGER_MAX
from narrows_metering.counterfactual import cdn_months
from narrows_metering.endorsement import signed_bytes
from narrows_metering.errors import StatementImpossible
from narrows_metering.money import ROUNDING, Money
from narrows_metering.payload import MEASURED, Evidence
from narrows_metering.reckoning import (
    Drawn,
    baseline_cells,
    delivered_cells,
    draw_sample,
    estimate_savings,
    value_months,
)
from narrows_metering.record import Record, time_to_text
from narrows_metering.savings import bytes_at_equal_quality, saved_bytes
from narrows_metering.share import allot_money, graduated
from narrows_metering.tariff import Tariff, Tier
from narrows_metering.terms import Period, Terms, decimal_to_text, exchange_to_dict
from narrows_metering.usage import Cell, LatestEvidence, Source, Usage, collect

__all__ = ["FORMAT", "Exclusion", "NoShare", "Period", "Tariff", "Terms", "Tier", "draw_up", "statement_hash"]

FORMAT: Final = "narrows-statement/1"


class Exclusion(StrEnum):
    """Why a delivery saves nothing. Besides these, the status of evidence that found no equal quality."""

    NO_ENCODE = "no_encode"  # No record says that this rendition is ours.
    DEVELOPMENT = "development"  # Encoded under development licenses alone.
    SEVERAL_ASSETS = "several_assets"  # Encodes of different assets claim the same rendition.
    NO_EVIDENCE = "no_evidence"  # None for the contract's baseline and metric.
    INCONSISTENT_EVIDENCE = "inconsistent_evidence"  # The points do not give the baseline bytes that it states.
    METRICS_DISAGREE = "metrics_disagree"  # Equal PSNR gives other bytes than equal metric, or none.
    DUPLICATE_DELIVERY = "duplicate_delivery"  # The same import again. Not even traffic.
    UNREADABLE_PAYLOAD = "unreadable_payload"  # `member` says where.


class NoShare(StrEnum):
    """Why the share is 0."""

    NO_DELIVERIES = "no_deliveries"
    NO_EVIDENCE = "no_evidence"  # Deliveries, but none with usable evidence.
    NO_SAVINGS = "no_savings"  # We lost, or the tariff makes the difference worthless.
    BELOW_MINOR_UNIT = "below_minor_unit"  # A share of less than half a cent, or tiers of 0 %.


def draw_up(
    terms: Terms,
    *,
    period: Period,
    records_by_installation: Mapping[str, Iterable[Record]],
    drawn_up_at: datetime,
    corrections: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """
    The statement of *period* under *terms*, from all records of the contract's installations.

    Each installation's records are read once, in order; they must be contiguous, and reach back to the encodes whose
    deliveries are to count. *corrections* of earlier months come from `correction`. Raises ChainBroken if the records
    were altered, StatementImpossible beyond 9 PB.
    """
    usage = collect(records_by_installation, terms=terms, period=period)
    lines, exceptions = _sort_out(usage, terms)

    delivered = sum(entry.bytes_delivered for entry in usage.delivered.values())
    counted = sum(line["delivered_bytes"] for line in lines)
    sample = draw_sample(usage, terms, period)
    estimate = estimate_savings(usage, lines, sample, terms)
    saved = max(estimate.billed_bytes, -delivered)  # The baseline cannot have delivered less than nothing.
    baseline = delivered + saved
    cells = delivered_cells(usage)
    months = cdn_months(terms, period, cells, baseline_cells(usage, lines, sample, cells, saved))
    values = value_months(terms, months)
    nothing = Money(minor=0, currency=terms.valued_in)
    baseline_cost = sum((value.baseline_cost for value in values), nothing)
    delivered_cost = sum((value.delivered_cost for value in values), nothing)
    requests = sum(entry.requests for entry in usage.delivered.values())
    repeated = sum(entry.bytes_delivered for entry in usage.repeated.values())
    # No line is larger than these, because what one rendition saves is part of the baseline's bytes.
    if max(delivered, baseline, repeated, requests, baseline_cost.minor, delivered_cost.minor) > INTEGER_MAX:
        raise StatementImpossible(f"contract {terms.contract_id}: a total exceeds 2^53 − 1")
    valuation = baseline_cost - delivered_cost
    share = _share(terms, period, usage, valuation, has_evidence=bool(lines))

    corrected = sum(correction["share"]["minor"] for correction in corrections)
    return {
        "format": FORMAT,
        "contract": terms.to_dict(),
        "period": {
            **period.to_dict(),
            "start": time_to_text(period.start),
            "end": time_to_text(period.end),
            "drawn_up_at": time_to_text(drawn_up_at),
        },
        "delivered": {
            "bytes": delivered,
            "counted_bytes": counted,
            "excepted_bytes": delivered - counted,
            "requests": requests,
            "deliveries": sum(entry.deliveries for entry in usage.delivered.values()),
            "regions": _regions(cells),
        },
        "baseline": {"baseline_id": terms.baseline_id, "metric": terms.metric, "bytes": baseline},
        "evidence": {"method": terms.method.value, "sample": sample and _sample_section(sample), "lines": lines},
        "result": {
            "delivered_bytes": delivered,
            "baseline_bytes": baseline,
            "saved_bytes": saved,
            "measured_bytes": estimate.saved_bytes,
            "lower_bytes": estimate.lower_bytes,
            "upper_bytes": estimate.upper_bytes,
            "haircut_bytes": estimate.saved_bytes - saved,
        },
        "valuation": {
            "mode": terms.mode.value,
            "rounding": ROUNDING,
            "cdns": [
                {
                    "cdn": value.cdn,
                    "baseline_cost": value.baseline_cost.to_dict(),
                    "delivered_cost": value.delivered_cost.to_dict(),
                    "saved": value.saved.to_dict(),
                }
                for value in values
            ],
            "baseline_cost": baseline_cost.to_dict(),
            "delivered_cost": delivered_cost.to_dict(),
            "saved": valuation.to_dict(),
        },
        "share": {
            **share,
            "corrections": {"minor": corrected, "currency": terms.currency},
            "due": {"minor": share["amount"]["minor"] + corrected, "currency": terms.currency},
        },
        "corrections": list(corrections),
        "exceptions": exceptions,
        "completeness": {
            "installations": len(usage.proofs),
            "records": sum(proof.last_seq - proof.first_seq + 1 for proof in usage.proofs),
            "declared_gaps": [_source(source) for source in usage.gaps],
        },
        "proofs": {
            "installations": [
                {
                    "installation_id": proof.installation_id,
                    "first_seq": proof.first_seq,
                    "last_seq": proof.last_seq,
                    "head_hash": proof.head_hash,
                    "merkle_root": proof.merkle_root,
                }
                for proof in usage.proofs
            ]
        },
        "signatures": {"vendor": None, "customer": None},
    }


def _sample_section(drawn: Drawn) -> dict[str, Any]:
    sample = drawn.sample
    return {
        "seed": drawn.seed.hex(),
        "ledger_root": drawn.ledger_root,
        "certainty": list(sample.certainty),
        "certainty_bytes": sample.certainty_bytes,
        "tail": list(sample.tail),
        "tail_population": sample.tail_population,
        "tail_bytes": sample.tail_bytes,
    }


def _regions(cells: Mapping[Cell, int]) -> list[dict[str, Any]]:
    volumes: dict[tuple[str, str], int] = {}
    for (cdn, region, _), volume in cells.items():
        volumes[cdn, region] = volumes.get((cdn, region), 0) + volume
    return [{"cdn": cdn, "region": region, "bytes": volume} for (cdn, region), volume in sorted(volumes.items())]


def statement_hash(statement: Mapping[str, Any]) -> str:
    """The name of a statement: SHA-256 of its canonical JSON (RFC 8785) without the signatures, lower-case hex."""
    return hashlib.sha256(signed_bytes(statement)).hexdigest()


def _sort_out(usage: Usage, terms: Terms) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines that save or lose bytes, and the exceptions, both in an order that only their content decides."""
    lines, exceptions = [], []
    for rendition, entry in sorted(usage.delivered.items()):
        found = _usable_evidence(usage, rendition, terms)
        if isinstance(found, LatestEvidence):
            lines.append(_line(found, entry.bytes_delivered))
        else:
            exceptions.append(_exception(found, rendition, entry.bytes_delivered, entry.deliveries, entry.first))
    for rendition, entry in sorted(usage.repeated.items()):
        exceptions.append(
            _exception(Exclusion.DUPLICATE_DELIVERY, rendition, entry.bytes_delivered, entry.deliveries, entry.first)
        )
    for (kind, member), sources in sorted(usage.unreadable.items()):
        exceptions.append(
            _exception(Exclusion.UNREADABLE_PAYLOAD, None, 0, len(sources), sources[0], member=f"{kind}.{member}")
        )
    return lines, exceptions


def _usable_evidence(usage: Usage, rendition: str, terms: Terms) -> LatestEvidence | str:
    """The evidence by which deliveries of *rendition* count, or the reason why they do not."""
    assets = usage.production.get(rendition, set())
    if not assets:
        return Exclusion.DEVELOPMENT if rendition in usage.development else Exclusion.NO_ENCODE
    if len(assets) > 1:
        return Exclusion.SEVERAL_ASSETS
    (asset,) = assets
    latest = usage.evidence.get((asset, rendition))
    if latest is None:
        return Exclusion.NO_EVIDENCE
    if latest.evidence.status != MEASURED:
        return latest.evidence.status
    if not _holds(latest.evidence):
        return Exclusion.INCONSISTENT_EVIDENCE
    if terms.psnr_tolerance_percent is not None:
        psnr = usage.psnr.get((asset, rendition))
        if psnr is None or not _agrees(latest.evidence, psnr.evidence, terms.psnr_tolerance_percent):
            return Exclusion.METRICS_DISAGREE
    return latest


def _agrees(evidence: Evidence, psnr: Evidence, tolerance_percent: int) -> bool:
    """Whether the baseline needs about as much at equal PSNR. One metric alone may be flattered."""
    ours, theirs = evidence.bytes_baseline, psnr.bytes_baseline
    if ours is None or theirs is None or not _holds(psnr):
        return False
    return 100 * abs(ours - theirs) <= tolerance_percent * theirs


def _holds(evidence: Evidence) -> bool:
    return bytes_at_equal_quality(evidence.points, evidence.score) == evidence.bytes_baseline


def _line(latest: LatestEvidence, bytes_delivered: int) -> dict[str, Any]:
    evidence = latest.evidence
    assert evidence.bytes_baseline is not None
    return {
        "asset": evidence.asset,
        "rendition": evidence.rendition,
        "record": _source(latest.source),
        "score": evidence.score,
        "bytes": evidence.bytes_ours,
        "baseline_bytes": evidence.bytes_baseline,
        "delivered_bytes": bytes_delivered,
        "saved_bytes": saved_bytes(bytes_delivered, evidence.bytes_ours, evidence.bytes_baseline),
    }


def _exception(
    reason: str, rendition: str | None, delivered: int, records: int, first: Source | None, *, member: str | None = None
) -> dict[str, Any]:
    return {
        "reason": str(reason),
        "rendition": rendition,
        "member": member,
        "delivered_bytes": delivered,
        "records": records,
        "first_record": None if first is None else _source(first),
    }


def _source(source: Source) -> dict[str, Any]:
    return {"installation_id": source.installation_id, "seq": source.seq}


def _share(terms: Terms, period: Period, usage: Usage, valuation: Money, *, has_evidence: bool) -> dict[str, Any]:
    """Our part of *valuation*, part by part of the month."""
    saved = terms.exchange.convert(valuation, terms.currency) if terms.exchange else valuation
    ends = [part.from_day for part in terms.share[1:]] + [period.last_day + 1]
    parts = list[dict[str, Any]]()
    amounts = allot_money(saved.minor, usage.part_bytes)
    for part, end, delivered, minor in zip(terms.share, ends, usage.part_bytes, amounts, strict=True):
        days = max(0, end - max(part.from_day, period.first_day))
        slices = graduated(part.tiers, minor, months=Fraction(days, period.days_in_month))
        parts.append(
            {
                "from_day": part.from_day,
                "days": days,
                "delivered_bytes": delivered,
                "saved_minor": minor,
                "slices": [
                    {"percent": decimal_to_text(one.percent), "saved_minor": one.saved_minor, "minor": one.minor}
                    for one in slices
                ],
                "minor": sum(one.minor for one in slices),
            }
        )
    total = sum(part["minor"] for part in parts)
    return {
        "rounding": ROUNDING,
        "exchange": terms.exchange and exchange_to_dict(terms.exchange),
        "saved": saved.to_dict(),
        "parts": parts,
        "amount": {"minor": total, "currency": terms.currency},
        "reason": None if total else _no_share(usage, saved, has_evidence=has_evidence).value,
    }


def _no_share(usage: Usage, saved: Money, *, has_evidence: bool) -> NoShare:
    if not sum(usage.part_bytes):
        return NoShare.NO_DELIVERIES
    if not has_evidence:
        return NoShare.NO_EVIDENCE
    return NoShare.NO_SAVINGS if saved.minor <= 0 else NoShare.BELOW_MINOR_UNIT
