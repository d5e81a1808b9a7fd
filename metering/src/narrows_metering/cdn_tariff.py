"""
What one CDN charges for a month: graduated tiers per region, at least a commit; or the 95th percentile of the rate.

The customer's own prices. Requests are charged apart by every CDN and do not fall with fewer bytes, so they are not
here. Exact: prices are decimals, volumes integers, and the sum becomes whole cents once, in `valuation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from narrows_metering.tariff import PRICE_DECIMALS_MAX, Tariff

SLOT_SECONDS: Final = 300  # CDNs sample the rate every five minutes.
PERCENTILE: Final = 95
REGIONS_MAX: Final = 64
ANY_REGION: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class CdnTraffic:
    """What one CDN carried in a month, or would have carried."""

    region_bytes: Mapping[str, int]
    slot_bytes: Sequence[int] = ()  # Per five minutes, all of the month; only for a percentile.

    @property
    def bytes_total(self) -> int:
        """All regions together."""
        return sum(self.region_bytes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeTariff:
    """A price per gigabyte: each region has graduated tiers of its own, and together they cost at least *commit*."""

    cdn: str
    regions: Mapping[str, Tariff]  # By region; ANY_REGION for those that are not named.
    commit: Decimal = Decimal(0)  # Major units a month, paid also if less is used.

    def __post_init__(self) -> None:
        if ANY_REGION not in self.regions or not 1 <= len(self.regions) <= REGIONS_MAX:
            raise ValueError(f"regions: 1..{REGIONS_MAX} of them, one being {ANY_REGION}")
        _check_price(self.commit, "commit")

    def price(self, traffic: CdnTraffic) -> Fraction:
        """What *traffic* costs, in major units, exactly. Regions that are not named share the tiers of `*`."""
        volumes = dict.fromkeys(self.regions, 0)
        for region, volume in traffic.region_bytes.items():
            volumes[region if region in self.regions else ANY_REGION] += volume
        used = sum((self.regions[region].price(volume) for region, volume in volumes.items()), Fraction(0))
        return max(Fraction(self.commit), used)


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentileTariff:
    """
    A price per megabit a second of the 95th percentile: of all five-minute samples of the month the highest twentieth
    is left out, and the highest that remains is charged, at least the committed rate.
    """

    cdn: str
    price_per_mbps: Decimal  # Major units a month, for the committed rate.
    overage_per_mbps: Decimal  # For what lies above it.
    commit_mbps: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        for name in ("price_per_mbps", "overage_per_mbps", "commit_mbps"):
            _check_price(getattr(self, name), name)

    def price(self, traffic: CdnTraffic) -> Fraction:
        """What *traffic* costs, in major units, exactly."""
        commit = Fraction(self.commit_mbps)
        above = max(Fraction(0), rate_mbps(traffic.slot_bytes) - commit)
        return commit * Fraction(self.price_per_mbps) + above * Fraction(self.overage_per_mbps)


CdnTariff = VolumeTariff | PercentileTariff


def rate_mbps(slot_bytes: Sequence[int]) -> Fraction:
    """
    The 95th percentile of the rate in Mbit/s; 0 without samples. Exact.

    >>> rate_mbps([375_000_000] * 19 + [10**12])
    Fraction(10, 1)
    """
    if not slot_bytes:
        return Fraction(0)
    left_out = len(slot_bytes) * (100 - PERCENTILE) // 100
    charged = sorted(slot_bytes, reverse=True)[left_out]
    return Fraction(8 * charged, SLOT_SECONDS * 10**6)


def _check_price(value: Decimal, name: str) -> None:
    if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value < 10**12:
        raise ValueError(f"{name}: not a decimal from 0")
    if value != round(value, PRICE_DECIMALS_MAX):
        raise ValueError(f"{name}: more than {PRICE_DECIMALS_MAX} decimals")
