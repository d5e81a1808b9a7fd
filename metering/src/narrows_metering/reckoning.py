"""
The sample of a month, its cells, and what they are worth.

Between `usage`, which says what records prove, and `statement`, which writes it down. Pure, like both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from narrows_metering.chain import merkle_root
from narrows_metering.estimator import Method
from narrows_metering.money import Money
from narrows_metering.period import Period
from narrows_metering.sampling import Sample, Traits, draw, sample_seed
from narrows_metering.terms import Terms
from narrows_metering.usage import Cell, Usage
from narrows_metering.valuation import CdnMonth, CdnValue, Mode, avoided_cost, effective_price, reference_price


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The sample of a month, and the seed that it follows from."""

    seed: bytes
    ledger_root: str
    sample: Sample


def statement_seed(usage: Usage, terms: Terms, period: Period) -> Drawn:
    """The seed of the month, before anything is drawn."""
    # The chain's hash at the last delivery: fixed before anything could be measured for it, and it covers all before.
    root = merkle_root([usage.delivery_heads[name] for name in sorted(usage.delivery_heads)])
    seed = sample_seed(contract_hash=terms.measuring_hash(), period=str(period), ledger_root=root)
    return Drawn(seed=seed, ledger_root=root, sample=draw({}, seed))


def draw_sample(usage: Usage, terms: Terms, period: Period) -> Drawn | None:
    """The sample of the month, where the terms ask for one."""
    if terms.method is not Method.SAMPLED:
        return None
    known = statement_seed(usage, terms, period)
    population = {rendition: entry.bytes_delivered for rendition, entry in usage.delivered.items()}
    traits = {
        rendition: Traits(content_class=encode.content_class, bits_per_pixel_ppm=encode.bits_per_pixel_ppm)
        for rendition, encode in usage.encoded.items()
        if rendition in population
    }
    return replace(known, sample=draw(population, known.seed, count=terms.sample_count, traits=traits))


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
    """Delivered bytes by CDN, region and slot, on either ladder."""
    cells: dict[Cell, int] = {}
    for entry in (*usage.delivered.values(), *usage.held_out.values()):
        for cell, volume in entry.cells.items():
            cells[cell] = cells.get(cell, 0) + volume
    return cells
