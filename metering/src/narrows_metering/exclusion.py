"""
What saves nothing, and why: nothing is assumed of a delivery whose savings the records do not prove.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Any

from narrows_metering.payload import MEASURED, Encode, Evidence
from narrows_metering.savings import bytes_at_equal_quality
from narrows_metering.segments import draw_segments
from narrows_metering.terms import Terms
from narrows_metering.usage import Delivered, LatestEvidence, Source, Usage


class Exclusion(StrEnum):
    """Why a delivery saves nothing. Besides these, the status of evidence that found no equal quality."""

    NO_ENCODE = "no_encode"  # No record says that this rendition is ours.
    DEVELOPMENT = "development"  # Encoded under development licenses alone.
    SEVERAL_ASSETS = "several_assets"  # Encodes of different assets claim the same rendition.
    NO_EVIDENCE = "no_evidence"  # None for the contract's baseline and metric.
    OTHER_BASELINE = "other_baseline"  # None with the settings that the contract fixes for its baseline.
    OTHER_SEGMENTS = "other_segments"  # A part was measured that no draw of the contract gives.
    INCONSISTENT_EVIDENCE = "inconsistent_evidence"  # The points do not give the baseline bytes that it states.
    METRICS_DISAGREE = "metrics_disagree"  # Equal PSNR gives other bytes than equal metric, or none.
    NOT_ON_THE_BENCH = "not_on_the_bench"  # M1: the bench says nothing of content of this class.
    STIPULATION_ENDED = "stipulation_ended"  # M1: not one of the months in which its bench holds.
    NO_PLAYED_TIME = "no_played_time"  # M4: nobody says how long it was played.
    HELD_OUT = "held_out"  # Sessions with the baseline's ladder, where the contract does not compare them.
    DUPLICATE_DELIVERY = "duplicate_delivery"  # The same import again. Not even traffic.
    UNREADABLE_PAYLOAD = "unreadable_payload"  # `member` says where.


def encode_of(usage: Usage, rendition: str) -> Encode | Exclusion:
    """The encode of *rendition* that is to be billed."""
    assets = usage.production.get(rendition, set())
    if not assets:
        return Exclusion.DEVELOPMENT if rendition in usage.development else Exclusion.NO_ENCODE
    return Exclusion.SEVERAL_ASSETS if len(assets) > 1 else usage.encoded[rendition]


def usable_evidence(usage: Usage, rendition: str, terms: Terms, seeds: Collection[str]) -> LatestEvidence | str:
    """
    The evidence by which deliveries of *rendition* count, or the reason why they do not.

    Segments must be those that one of *seeds*, or the ledger with the evidence when it was recorded, draws.
    """
    encode = encode_of(usage, rendition)
    if not isinstance(encode, Encode):
        return encode
    key = encode.asset, rendition
    latest = usage.evidence.get(key)
    if latest is None:
        return Exclusion.OTHER_BASELINE if key in usage.other_baseline else Exclusion.NO_EVIDENCE
    if latest.evidence.status != MEASURED:
        return latest.evidence.status
    if not _holds(latest.evidence):
        return Exclusion.INCONSISTENT_EVIDENCE
    if not _is_fairly_drawn(latest, terms, seeds):
        return Exclusion.OTHER_SEGMENTS
    if terms.psnr_tolerance_percent is not None:
        psnr = usage.psnr.get(key)
        if psnr is None or not _agrees(latest.evidence, psnr.evidence, terms.psnr_tolerance_percent):
            return Exclusion.METRICS_DISAGREE
    return latest


def exceptions_of(usage: Usage, reasons: dict[str, str]) -> list[dict[str, Any]]:
    """The statement's section: *reasons* by rendition, then what was told again and what could not be read."""
    found = [_exception(reason, name, usage.delivered[name]) for name, reason in sorted(reasons.items())]
    found += [_exception(Exclusion.DUPLICATE_DELIVERY, name, entry) for name, entry in sorted(usage.repeated.items())]
    for (kind, member), sources in sorted(usage.unreadable.items()):
        unread = Delivered(deliveries=len(sources), first=sources[0])
        found.append(_exception(Exclusion.UNREADABLE_PAYLOAD, None, unread, member=f"{kind}.{member}"))
    return found


def held_out_exceptions(usage: Usage) -> list[dict[str, Any]]:
    """Sessions that got the baseline's ladder without being compared."""
    return [_exception(Exclusion.HELD_OUT, name, entry) for name, entry in sorted(usage.held_out.items())]


def source_to_dict(source: Source) -> dict[str, Any]:
    """Where a fact comes from, as it stands in a statement."""
    return {"installation_id": source.installation_id, "seq": source.seq}


def _exception(reason: str, rendition: str | None, entry: Delivered, *, member: str | None = None) -> dict[str, Any]:
    return {
        "reason": str(reason),
        "rendition": rendition,
        "member": member,
        "delivered_bytes": entry.bytes_delivered,
        "records": entry.deliveries,
        "first_record": None if entry.first is None else source_to_dict(entry.first),
    }


def _holds(evidence: Evidence) -> bool:
    if bytes_at_equal_quality(evidence.points, evidence.score) != evidence.bytes_baseline:
        return False
    segments = evidence.segments
    return segments is None or sum(part.bytes_ours for part in segments.parts) == evidence.bytes_ours


def _is_fairly_drawn(latest: LatestEvidence, terms: Terms, seeds: Collection[str]) -> bool:
    segments = latest.evidence.segments
    if segments is None:
        return True
    if terms.segment_count is None or segments.seed not in {latest.seed, *seeds}:
        return False
    seed, rendition = bytes.fromhex(segments.seed), latest.evidence.rendition
    drawn = draw_segments(seed, rendition, count=segments.count, wanted=terms.segment_count)
    return drawn == tuple(part.index for part in segments.parts)


def _agrees(evidence: Evidence, psnr: Evidence, tolerance_percent: int) -> bool:
    """Whether the baseline needs about as much at equal PSNR. One metric alone may be flattered."""
    ours, theirs = evidence.bytes_baseline, psnr.bytes_baseline
    if ours is None or theirs is None or not _holds(psnr):
        return False
    return 100 * abs(ours - theirs) <= tolerance_percent * theirs
