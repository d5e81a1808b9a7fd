"""
From measured renditions to both sides of a month: what was drawn, what all of it saves, where, and what that is worth.

Between `usage`, which says what records prove, and `statement`, which writes it down. Pure, like both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from narrows_metering.canonical import canonical_json
from narrows_metering.chain import merkle_root
from narrows_metering.counterfactual import allot
from narrows_metering.estimator import Estimate, Measured, Method, census, sampled
from narrows_metering.money import Money
from narrows_metering.sampling import Sample, draw, sample_seed
from narrows_metering.terms import Period, Terms
from narrows_metering.usage import Cell, Usage
from narrows_metering.valuation import CdnMonth, CdnValue, Mode, avoided_cost, effective_price, reference_price

_SETTLED_LATER: Final = frozenset({"share", "exchange", "invoiced_minor"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The sample of a month, and the seed that it follows from."""

    seed: bytes
    ledger_root: str
    sample: Sample


def draw_sample(usage: Usage, terms: Terms, period: Period) -> Drawn | None:
    """The sample of the month, where the terms ask for one."""
    if terms.method is not Method.SAMPLED:
        return None
    # The chain's hash at the last delivery: fixed before anything could be measured for it, and it covers all before.
    root = merkle_root([usage.delivery_heads[name] for name in sorted(usage.delivery_heads)])
    # What is known before the month is over, and what decides what is measured: not the rate of its last day.
    measured = {name: value for name, value in terms.to_dict().items() if name not in _SETTLED_LATER}
    contract_hash = hashlib.sha256(canonical_json(measured)).hexdigest()
    seed = sample_seed(contract_hash=contract_hash, period=str(period), ledger_root=root)
    population = {rendition: entry.bytes_delivered for rendition, entry in usage.delivered.items()}
    return Drawn(seed=seed, ledger_root=root, sample=draw(population, seed, tail_count=terms.tail_count))


def estimate_savings(usage: Usage, lines: list[dict[str, Any]], drawn: Drawn | None, terms: Terms) -> Estimate:
    """What all that was delivered saves, from the *lines* that were measured."""
    saved = {line["rendition"]: line["saved_bytes"] for line in lines}

    def measured(renditions: Iterable[str]) -> list[Measured]:
        # What was drawn and could not be measured saves nothing; it stands among the exceptions.
        return [
            Measured(delivered_bytes=usage.delivered[name].bytes_delivered, saved_bytes=saved.get(name, 0))
            for name in renditions
        ]

    if drawn is None:
        return census(measured(saved), noise_ppm=terms.noise_ppm)
    sample = drawn.sample
    return sampled(
        measured(sample.certainty), measured(sample.tail), tail_bytes=sample.tail_bytes, noise_ppm=terms.noise_ppm
    )


def value_months(terms: Terms, months: list[CdnMonth]) -> tuple[CdnValue, ...]:
    """Both costs of every CDN, in the mode of the terms."""
    match terms.mode:
        case Mode.AVOIDED_COST:
            tariffs = {month.cdn: terms.tariff_of(month.cdn) for month in months}
            return avoided_cost(months, tariffs, currency=terms.valued_in)
        case Mode.REFERENCE_PRICE:
            return reference_price(months, terms.reference_prices, currency=terms.valued_in)
        case Mode.EFFECTIVE_PRICE:
            # A CDN whose invoice is not among the terms has no price, so nothing was saved there.
            invoiced = {month.cdn: terms.invoiced_minor.get(month.cdn, 0) for month in months}
            paid = {cdn: Money(minor=minor, currency=terms.valued_in) for cdn, minor in invoiced.items()}
            return effective_price(months, paid)


def delivered_cells(usage: Usage) -> dict[Cell, int]:
    """Delivered bytes by CDN, region and slot."""
    cells: dict[Cell, int] = {}
    for entry in usage.delivered.values():
        for cell, volume in entry.cells.items():
            cells[cell] = cells.get(cell, 0) + volume
    return cells


def baseline_cells(
    usage: Usage, lines: list[dict[str, Any]], drawn: Drawn | None, cells: dict[Cell, int], saved: int
) -> dict[Cell, int]:
    """Where the baseline's bytes would have been delivered; they exceed *cells* by *saved* in all."""
    baseline, placed = dict(cells), 0
    counting = None if drawn is None else {*drawn.sample.certainty, *drawn.sample.tail}
    for line in lines:
        if counting is None or line["rendition"] in counting:
            for cell, part in allot(line["saved_bytes"], usage.delivered[line["rendition"]].cells).items():
                baseline[cell] += part
            placed += line["saved_bytes"]
    for cell, part in allot(saved - placed, cells).items():
        baseline[cell] += part
    if any(volume < 0 for volume in baseline.values()):  # A small cell bears no more than its own share of the whole.
        parts = allot(saved, cells)
        baseline = {cell: max(0, volume + parts[cell]) for cell, volume in cells.items()}
    return baseline
