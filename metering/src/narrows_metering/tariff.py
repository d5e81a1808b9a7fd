"""
A tariff: what the customer pays a CDN for delivered bytes, in graduated tiers.

The customer's own prices, used to value savings; what the customer pays us is the contract's share (`statement`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final

BYTES_PER_GB: Final = 10**9  # Decimal gigabytes, as CDNs bill them.
TIERS_MAX: Final = 64
PRICE_DECIMALS_MAX: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """The price of the bytes above the tier before and up to *up_to_bytes* in a month; None means without limit."""

    up_to_bytes: int | None
    price_per_gb: Decimal  # Major units of the contract's currency per 10⁹ bytes.

    def __post_init__(self) -> None:
        price = self.price_per_gb
        if not isinstance(price, Decimal) or not price.is_finite() or not 0 <= price < 10**9:
            raise ValueError("price_per_gb: not a decimal from 0")
        if price != round(price, PRICE_DECIMALS_MAX):
            raise ValueError(f"price_per_gb: more than {PRICE_DECIMALS_MAX} decimals")
        if self.up_to_bytes is not None and self.up_to_bytes < 1:
            raise ValueError("up_to_bytes: not an integer from 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Graduated tiers: each byte costs what its own tier says, as with income tax."""

    tariff_id: str
    tiers: tuple[Tier, ...]  # Rising; only the last is, and must be, without limit.

    def __post_init__(self) -> None:
        if not self.tariff_id or not 1 <= len(self.tiers) <= TIERS_MAX:
            raise ValueError(f"a tariff has an id and 1..{TIERS_MAX} tiers")
        limits = [tier.up_to_bytes for tier in self.tiers]
        if limits[-1] is not None or None in limits[:-1]:
            raise ValueError("tiers: the last one, and no other, has no limit")
        if any(low >= high for low, high in pairwise(limit for limit in limits if limit is not None)):
            raise ValueError("tiers: limits must rise")

    def price(self, bytes_delivered: int) -> Fraction:
        """What *bytes_delivered* in one month cost, in major units, exactly."""
        if bytes_delivered < 0:
            raise ValueError("bytes_delivered: negative")
        total, floor = Fraction(0), 0
        for tier in self.tiers:
            ceiling = bytes_delivered if tier.up_to_bytes is None else min(bytes_delivered, tier.up_to_bytes)
            if ceiling > floor:
                total += (ceiling - floor) * Fraction(tier.price_per_gb) / BYTES_PER_GB
                floor = ceiling
        return total
