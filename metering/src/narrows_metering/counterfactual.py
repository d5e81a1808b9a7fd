"""
The traffic of a month beside the one that the baseline would have made, per CDN: what a tariff is asked about twice.

What was measured is saved where it was delivered. What an interval adds or takes away belongs to no delivery; it is
laid on all traffic in proportion to its bytes. Bytes whose five minutes nobody knows are laid evenly on the month, on
both sides: that understates every peak, hence what a percentile saves.
"""

from __future__ import annotations

from collections.abc import Mapping

from narrows_metering.cdn_tariff import SLOT_SECONDS, CdnTraffic, PercentileTariff
from narrows_metering.terms import Period, Terms
from narrows_metering.usage import Cell
from narrows_metering.valuation import CdnMonth


def allot(amount: int, weights: Mapping[Cell, int]) -> dict[Cell, int]:
    """
    *amount*, which may be negative, in whole parts proportional to *weights*; their sum is exact.

    >>> allot(10, {("", "eu", None): 1, ("", "us", None): 2})
    {('', 'eu', None): 3, ('', 'us', None): 7}
    """
    total, given, reached, parts = sum(weights.values()), 0, 0, {}
    for cell in sorted(weights, key=_order):
        reached += weights[cell]
        upto = amount * reached // total if total else 0
        parts[cell], given = upto - given, upto
    return parts


def cdn_months(
    terms: Terms, period: Period, delivered: Mapping[Cell, int], baseline: Mapping[Cell, int]
) -> list[CdnMonth]:
    """Both sides of every CDN's month, by name."""
    return [
        CdnMonth(
            cdn=cdn,
            delivered=_traffic(terms, period, cdn, delivered),
            baseline=_traffic(terms, period, cdn, baseline),
        )
        for cdn in sorted({cell[0] for cell in delivered})
    ]


def _traffic(terms: Terms, period: Period, cdn: str, volumes: Mapping[Cell, int]) -> CdnTraffic:
    regions: dict[str, int] = {}
    slots: list[int] = []
    if isinstance(terms.tariff_of(cdn), PercentileTariff):
        slots = [0] * (int((period.end - period.start).total_seconds()) // SLOT_SECONDS)
    for (name, region, slot), volume in volumes.items():
        if name != cdn:
            continue
        regions[region] = regions.get(region, 0) + volume
        if slots and slot is not None:
            slots[slot] += volume
        elif slots:
            each, rest = divmod(volume, len(slots))
            slots = [value + each + (number < rest) for number, value in enumerate(slots)]
    return CdnTraffic(region_bytes=regions, slot_bytes=slots)


def _order(cell: Cell) -> tuple[str, str, int]:
    return cell[0], cell[1], -1 if cell[2] is None else cell[2]
