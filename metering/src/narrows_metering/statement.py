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
from narrows_metering.document import decimal_to_text
from narrows_metering.endorsement import signed_bytes
from narrows_metering.errors import StatementImpossible
from narrows_metering.exclusion import Exclusion, source_to_dict
from narrows_metering.findings import baseline_cells, find_savings
from narrows_metering.money import ROUNDING, Money
from narrows_metering.reckoning import Drawn, delivered_cells, draw_sample, value_months
from narrows_metering.record import Record, time_to_text
from narrows_metering.share import allot_money, graduated
from narrows_metering.share_document import exchange_to_dict
from narrows_metering.tariff import Tariff, Tier
from narrows_metering.terms import Period, Terms
from narrows_metering.usage import Cell, Usage, collect

__all__ = ["FORMAT", "Exclusion", "NoShare", "Period", "Tariff", "Terms", "Tier", "draw_up", "statement_hash"]

FORMAT: Final = "narrows-statement/1"


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
    drawn = draw_sample(usage, terms, period)
    return write_up(usage, terms, period=period, drawn=drawn, drawn_up_at=drawn_up_at, corrections=corrections)


def write_up(
    usage: Usage,
    terms: Terms,
    *,
    period: Period,
    drawn: Drawn | None,
    drawn_up_at: datetime,
    corrections: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The statement over *usage* that was collected, and a sample that was *drawn*; for all else see `draw_up`."""
    findings = find_savings(usage, terms, period, drawn)
    estimate = findings.estimate
    traffic = [*usage.delivered.values(), *usage.held_out.values()]
    delivered = sum(entry.bytes_delivered for entry in traffic)
    saved = max(estimate.billed_bytes, -delivered)  # The baseline cannot have delivered less than nothing.
    baseline = delivered + saved
    cells = delivered_cells(usage)
    months = cdn_months(terms, period, cells, baseline_cells(usage, findings.placed, saved))
    values = value_months(terms, months)
    nothing = Money(minor=0, currency=terms.valued_in)
    baseline_cost = sum((value.baseline_cost for value in values), nothing)
    delivered_cost = sum((value.delivered_cost for value in values), nothing)
    requests = sum(entry.requests for entry in traffic)
    repeated = sum(entry.bytes_delivered for entry in usage.repeated.values())
    # No line is larger than these, because what one rendition saves is part of the baseline's bytes.
    if max(delivered, baseline, repeated, requests, baseline_cost.minor, delivered_cost.minor) > INTEGER_MAX:
        raise StatementImpossible(f"contract {terms.contract_id}: a total exceeds 2^53 − 1")
    valuation = baseline_cost - delivered_cost
    share = _share(terms, period, usage, valuation, has_evidence=findings.counted_bytes > 0)

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
            "counted_bytes": findings.counted_bytes,
            "excepted_bytes": delivered - findings.counted_bytes,
            "requests": requests,
            "deliveries": sum(entry.deliveries for entry in traffic),
            "regions": _regions(cells),
        },
        "baseline": {
            "baseline_id": terms.baseline_id,
            "spec_sha256": terms.baseline.digest() if terms.baseline else None,
            "metric": terms.metric,
            "bytes": baseline,
        },
        "evidence": findings.section,
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
        "exceptions": findings.exceptions,
        "completeness": {
            "installations": len(usage.proofs),
            "records": sum(proof.last_seq - proof.first_seq + 1 for proof in usage.proofs),
            "declared_gaps": [source_to_dict(source) for source in usage.gaps],
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


def _regions(cells: Mapping[Cell, int]) -> list[dict[str, Any]]:
    volumes: dict[tuple[str, str], int] = {}
    for (cdn, region, _), volume in cells.items():
        volumes[cdn, region] = volumes.get((cdn, region), 0) + volume
    return [{"cdn": cdn, "region": region, "bytes": volume} for (cdn, region), volume in sorted(volumes.items())]


def statement_hash(statement: Mapping[str, Any]) -> str:
    """The name of a statement: SHA-256 of its canonical JSON (RFC 8785) without the signatures, lower-case hex."""
    return hashlib.sha256(signed_bytes(statement)).hexdigest()


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
