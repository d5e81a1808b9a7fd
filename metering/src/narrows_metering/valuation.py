"""
What saved bytes are worth: the cost of the baseline's traffic minus the cost of the actual traffic, per CDN.

Not saved gigabytes times an average price: in graduated tiers the last bytes are the cheapest, below a commit they are
free, and of a percentile only the peaks count. Contracts may agree on a simpler price instead; see `Mode`.
Each CDN's cost is rounded half to even, as its own invoice would be, so the value of several is the sum of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from narrows_metering.cdn_tariff import ANY_REGION, CdnTariff, CdnTraffic
from narrows_metering.money import Money
from narrows_metering.tariff import BYTES_PER_GB


class Mode(StrEnum):
    """How a contract values what was saved."""

    AVOIDED_COST = "avoided_cost"  # Under the CDN's own tariff.
    REFERENCE_PRICE = "reference_price"  # A price per gigabyte and region that both sides agreed on.
    EFFECTIVE_PRICE = "effective_price"  # The CDN's invoice divided by its gigabytes.


@dataclass(frozen=True, slots=True, kw_only=True)
class CdnMonth:
    """The month of one CDN: what it carried, and what the baseline would have made it carry."""

    cdn: str
    delivered: CdnTraffic
    baseline: CdnTraffic


@dataclass(frozen=True, slots=True, kw_only=True)
class CdnValue:
    """Both costs of one CDN's month. The difference is negative where we lost."""

    cdn: str
    baseline_cost: Money
    delivered_cost: Money

    @property
    def saved(self) -> Money:
        """What was not paid."""
        return self.baseline_cost - self.delivered_cost


def avoided_cost(
    months: Sequence[CdnMonth], tariffs: Mapping[str, CdnTariff], *, currency: str
) -> tuple[CdnValue, ...]:
    """Both costs per CDN, under the tariff that *tariffs* has for each. Raises KeyError for a CDN without one."""
    return tuple(
        CdnValue(
            cdn=month.cdn,
            baseline_cost=Money.from_major(tariffs[month.cdn].price(month.baseline), currency),
            delivered_cost=Money.from_major(tariffs[month.cdn].price(month.delivered), currency),
        )
        for month in months
    )


def reference_price(
    months: Sequence[CdnMonth], price_per_gb: Mapping[str, Decimal], *, currency: str
) -> tuple[CdnValue, ...]:
    """Both costs per CDN at *price_per_gb* by region; `*` is for those that are not named, and must be there."""

    def cost(traffic: CdnTraffic) -> Money:
        total = sum(
            (
                volume * Fraction(price_per_gb.get(region, price_per_gb[ANY_REGION])) / BYTES_PER_GB
                for region, volume in traffic.region_bytes.items()
            ),
            Fraction(0),
        )
        return Money.from_major(total, currency)

    return tuple(
        CdnValue(cdn=month.cdn, baseline_cost=cost(month.baseline), delivered_cost=cost(month.delivered))
        for month in months
    )


def effective_price(months: Sequence[CdnMonth], invoiced: Mapping[str, Money]) -> tuple[CdnValue, ...]:
    """
    Both costs per CDN at the price that its invoice comes to: *invoiced* ÷ delivered bytes.

    The delivered traffic costs what was invoiced. A CDN that delivered nothing has no price, so nothing was saved.
    """
    values = []
    for month in months:
        paid, delivered = invoiced[month.cdn], month.delivered.bytes_total
        at_baseline = (
            Fraction(paid.minor * month.baseline.bytes_total, delivered) if delivered else Fraction(paid.minor)
        )
        baseline_cost = Money(minor=round(at_baseline), currency=paid.currency)
        values.append(CdnValue(cdn=month.cdn, baseline_cost=baseline_cost, delivered_cost=paid))
    return tuple(values)


def total_saved(values: Sequence[CdnValue], *, currency: str) -> Money:
    """What all CDNs together cost less."""
    total = Money(minor=0, currency=currency)
    for value in values:
        total += value.saved
    return total
