"""
What the records prove about the savings of a month, by the method of the contract.

M2 and M3 rest on evidence for renditions, M1 on a signed bench, M4 on sessions with the baseline's ladder. Each gives
the same account: what counts, what does not and why, the estimate, and where the savings are known to have been.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from narrows_metering.bench import ANY_CLASS
from narrows_metering.counterfactual import allot
from narrows_metering.estimator import (
    MILLION,
    STIPULATED_BILLED_PERCENT,
    STIPULATED_MONTHS_MAX,
    Estimate,
    Measured,
    MeasuredStratum,
    Method,
    Sessions,
    census,
    holdout,
    sampled,
    stipulated,
)
from narrows_metering.exclusion import (
    Exclusion,
    encode_of,
    exceptions_of,
    held_out_exceptions,
    source_to_dict,
    usable_evidence,
)
from narrows_metering.payload import BASELINE_ARM, Encode
from narrows_metering.period import Period
from narrows_metering.reckoning import Drawn, delivered_cells, statement_seed
from narrows_metering.savings import saved_bytes
from narrows_metering.segments import ratio_noise_ppm
from narrows_metering.terms import Terms
from narrows_metering.usage import Cell, LatestEvidence, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The account of a month's bytes."""

    estimate: Estimate
    counted_bytes: int  # Delivered bytes that the method says something of.
    exceptions: list[dict[str, Any]]
    section: dict[str, Any]  # The statement's section `evidence`.
    placed: dict[Cell, int]  # Saved bytes whose place is known; what the estimate adds or takes away has none.


def find_savings(usage: Usage, terms: Terms, period: Period, drawn: Drawn | None) -> Findings:
    """The account by the method of *terms*; *drawn* is the sample of M2."""
    match terms.method:
        case Method.STIPULATED:
            return _by_bench(usage, terms, period)
        case Method.HOLDOUT:
            return _by_holdout(usage, terms)
        case _:
            return _by_evidence(usage, terms, period, drawn)


def _by_evidence(usage: Usage, terms: Terms, period: Period, drawn: Drawn | None) -> Findings:
    seeds = {statement_seed(usage, terms, period).seed.hex()} | ({drawn.seed.hex()} if drawn else set())
    lines, reasons = [], {}
    for rendition, entry in sorted(usage.delivered.items()):
        found = usable_evidence(usage, rendition, terms, seeds)
        if isinstance(found, LatestEvidence):
            lines.append(_line(found, usage.encoded[rendition], entry.bytes_delivered, terms))
        else:
            reasons[rendition] = found
    by_rendition = {line["rendition"]: line for line in lines}
    if drawn is None:
        estimate = census(_measured(usage, by_rendition, by_rendition), noise_ppm=terms.noise_ppm)
        counting = set(by_rendition)
    else:
        sample = drawn.sample
        strata = [
            MeasuredStratum(bytes=stratum.bytes, drawn=_measured(usage, by_rendition, stratum.drawn, drawn))
            for stratum in sample.strata
        ]
        certain = _measured(usage, by_rendition, sample.certainty)
        estimate = sampled(certain, strata, noise_ppm=terms.noise_ppm)
        counting = by_rendition.keys() & sample.sizes.keys()
    placed: dict[Cell, int] = {}
    for name in sorted(counting):
        for cell, part in allot(by_rendition[name]["saved_bytes"], usage.delivered[name].cells).items():
            placed[cell] = placed.get(cell, 0) + part
    return Findings(
        estimate=estimate,
        counted_bytes=sum(line["delivered_bytes"] for line in lines),
        exceptions=[*exceptions_of(usage, reasons), *held_out_exceptions(usage)],
        section=_section(terms, sample=None if drawn is None else _sample_section(drawn), lines=lines),
        placed=placed,
    )


def _measured(
    usage: Usage, lines: dict[str, dict[str, Any]], renditions: Iterable[str], drawn: Drawn | None = None
) -> list[Measured]:
    """What was drawn and could not be measured saves nothing; it stands among the exceptions."""
    return [
        Measured(
            delivered_bytes=usage.delivered[name].bytes_delivered if drawn is None else drawn.sample.sizes[name],
            saved_bytes=lines[name]["saved_bytes"] if name in lines else 0,
            noise_ppm=lines[name]["segments"]["noise_ppm"] if name in lines and lines[name]["segments"] else 0,
        )
        for name in renditions
    ]


def _line(latest: LatestEvidence, encode: Encode, bytes_delivered: int, terms: Terms) -> dict[str, Any]:
    evidence = latest.evidence
    assert evidence.bytes_baseline is not None
    baseline, ladder = evidence.bytes_baseline, None
    spec = terms.baseline
    bought = None if spec is None else spec.bytes_max(height=encode.height, duration_ms=encode.duration_ms)
    if bought is not None:
        # The ladder's rate is of the whole; evidence on a part of it may use the same part of that.
        ladder = bought * evidence.bytes_ours // encode.bytes_ours
        baseline = min(baseline, ladder)
    parts = evidence.segments
    return {
        "asset": evidence.asset,
        "rendition": evidence.rendition,
        "record": source_to_dict(latest.source),
        "score": evidence.score,
        "bytes": evidence.bytes_ours,
        "baseline_bytes": baseline,
        "ladder_bytes": ladder,
        "segments": parts
        and {
            "measured": len(parts.parts),
            "count": parts.count,
            "seed": parts.seed,
            "noise_ppm": ratio_noise_ppm(parts.parts, count=parts.count),
        },
        "delivered_bytes": bytes_delivered,
        "saved_bytes": saved_bytes(bytes_delivered, evidence.bytes_ours, baseline),
    }


def _by_bench(usage: Usage, terms: Terms, period: Period) -> Findings:
    stipulation = terms.stipulation
    assert stipulation is not None
    month = period.months_since(stipulation.first_month) + 1
    holds = 1 <= month <= STIPULATED_MONTHS_MAX
    ratios = stipulation.bench.saved_ppm() if holds else {}
    volumes: dict[str, int] = {}
    reasons: dict[str, str] = {}
    placed: dict[Cell, int] = {}
    for rendition, entry in sorted(usage.delivered.items()):
        encode = encode_of(usage, rendition)
        if not isinstance(encode, Encode):
            reasons[rendition] = encode
            continue
        name = encode.content_class if encode.content_class in ratios else ANY_CLASS
        if name not in ratios:
            reasons[rendition] = Exclusion.NOT_ON_THE_BENCH if holds else Exclusion.STIPULATION_ENDED
            continue
        volumes[name] = volumes.get(name, 0) + entry.bytes_delivered
        for cell, volume in entry.cells.items():
            placed[cell] = placed.get(cell, 0) + volume * ratios[name] // MILLION
    classes = [
        {
            "content_class": name,
            "delivered_bytes": volume,
            "saved_ppm": ratios[name],
            "saved_bytes": volume * ratios[name] // MILLION,
        }
        for name, volume in sorted(volumes.items())
    ]
    section = {
        "bench_id": stipulation.bench.bench_id,
        "bench_sha256": stipulation.bench.digest(),
        "signed_by": stipulation.bench.signed_by,
        "month": month,
        "months_max": STIPULATED_MONTHS_MAX,
        "billed_percent": STIPULATED_BILLED_PERCENT,
        "classes": classes,
    }
    return Findings(
        estimate=stipulated(volumes, ratios),
        counted_bytes=sum(volumes.values()),
        exceptions=[*exceptions_of(usage, reasons), *held_out_exceptions(usage)],
        section=_section(terms, stipulation=section),
        placed=placed,
    )


def _by_holdout(usage: Usage, terms: Terms) -> Findings:
    totals: dict[tuple[str, str], list[int]] = {}
    reasons: dict[str, str] = {}
    for rendition, entry in usage.delivered.items():
        encode = encode_of(usage, rendition)
        if not isinstance(encode, Encode):
            reasons[rendition] = encode
        elif not entry.played_ms:
            reasons[rendition] = Exclusion.NO_PLAYED_TIME
    for (rendition, day, arm), (volume, played) in usage.played.items():
        encode = encode_of(usage, rendition)
        if isinstance(encode, Encode):
            group = totals.setdefault((encode.asset, day.isoformat()), [0, 0, 0, 0])
            at = 2 if arm == BASELINE_ARM else 0
            group[at] += volume
            group[at + 1] += played
    groups = [
        Sessions(bytes_ours=ours, played_ms_ours=played, bytes_baseline=baseline, played_ms_baseline=played_baseline)
        for _, (ours, played, baseline, played_baseline) in sorted(totals.items())
    ]
    played_ours, played_baseline = (
        sum(group.played_ms_ours for group in groups),
        sum(group.played_ms_baseline for group in groups),
    )
    share_ppm = MILLION * played_baseline // max(1, played_ours + played_baseline)
    assert terms.holdout_percent is not None
    agreed_ppm = terms.holdout_percent * MILLION // 100
    # A share far from the agreed one was not drawn as agreed, whatever else was done; and a single group has no spread.
    is_fair = agreed_ppm <= 2 * share_ppm <= 4 * agreed_ppm
    has_spread = min(sum(g.played_ms_ours > 0 for g in groups), sum(g.played_ms_baseline > 0 for g in groups)) >= 2
    estimate = holdout(groups) if is_fair and has_spread else None
    return Findings(
        estimate=estimate or Estimate.of_nothing(Method.HOLDOUT),
        counted_bytes=sum(group.bytes_ours for group in groups) if estimate else 0,
        exceptions=exceptions_of(usage, reasons),
        section=_section(
            terms,
            holdout={
                "agreed_percent": terms.holdout_percent,
                "played_ppm": share_ppm,
                "compared": estimate is not None,
                "groups": len(groups),
                "ours": {"bytes": sum(group.bytes_ours for group in groups), "played_ms": played_ours},
                "baseline": {"bytes": sum(group.bytes_baseline for group in groups), "played_ms": played_baseline},
            },
        ),
        placed={},
    )


def baseline_cells(usage: Usage, placed: dict[Cell, int], saved: int) -> dict[Cell, int]:
    """Where the baseline's bytes would have been delivered; they exceed the delivered ones by *saved* in all."""
    cells = delivered_cells(usage)
    baseline = {cell: volume + placed.get(cell, 0) for cell, volume in cells.items()}
    for cell, part in allot(saved - sum(placed.values()), cells).items():
        baseline[cell] += part
    if any(volume < 0 for volume in baseline.values()):  # A small cell bears no more than its own share of the whole.
        parts = allot(saved, cells)
        baseline = {cell: max(0, volume + parts[cell]) for cell, volume in cells.items()}
    return baseline


def _section(
    terms: Terms,
    *,
    sample: dict[str, Any] | None = None,
    stipulation: dict[str, Any] | None = None,
    holdout: dict[str, Any] | None = None,
    lines: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "method": terms.method.value,
        "sample": sample,
        "stipulation": stipulation,
        "holdout": holdout,
        "lines": lines or [],
    }


def _sample_section(drawn: Drawn) -> dict[str, Any]:
    sample = drawn.sample
    return {
        "seed": drawn.seed.hex(),
        "ledger_root": drawn.ledger_root,
        "certainty": list(sample.certainty),
        "certainty_bytes": sample.certainty_bytes,
        "strata": [
            {
                "name": stratum.name,
                "population": stratum.population,
                "bytes": stratum.bytes,
                "drawn": list(stratum.drawn),
            }
            for stratum in sample.strata
        ],
    }
