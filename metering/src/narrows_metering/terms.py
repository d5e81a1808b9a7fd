"""
What a statement is drawn up under: the contract's terms and the month.

The terms stand inside the statement, so whoever recomputes it needs no access to the contract's home.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Self

from narrows_metering.errors import StatementUnreadable
from narrows_metering.money import exponent
from narrows_metering.tariff import Tariff, Tier

SHARE_DECIMALS_MAX: Final = 6

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,11})(\.[0-9]{0,11}[1-9])?")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a contract says about measuring, valuing and sharing savings in one month."""

    contract_id: str
    customer_id: str
    baseline_id: str  # The codec and settings that the contract compares with: "libx265-medium".
    metric: str  # What equal quality means: "ms_ssim", "psnr".
    share_percent: Decimal  # Our part of the money saved, 0 to 100.
    currency: str
    tariff: Tariff

    def __post_init__(self) -> None:
        for name in ("contract_id", "customer_id", "baseline_id", "metric"):
            if not getattr(self, name):
                raise ValueError(f"{name}: empty")
        share = self.share_percent
        if not isinstance(share, Decimal) or not share.is_finite() or not 0 <= share <= 100:
            raise ValueError("share_percent: not a decimal from 0 to 100")
        if share != round(share, SHARE_DECIMALS_MAX):
            raise ValueError(f"share_percent: more than {SHARE_DECIMALS_MAX} decimals")
        exponent(self.currency)

    def to_dict(self) -> dict[str, Any]:
        """The terms as they stand in a statement; equal terms give equal text."""
        return {
            "contract_id": self.contract_id,
            "customer_id": self.customer_id,
            "baseline_id": self.baseline_id,
            "metric": self.metric,
            "share_percent": decimal_to_text(self.share_percent),
            "currency": self.currency,
            "tariff": {
                "tariff_id": self.tariff.tariff_id,
                "tiers": [
                    {"up_to_bytes": tier.up_to_bytes, "price_per_gb": decimal_to_text(tier.price_per_gb)}
                    for tier in self.tariff.tiers
                ],
            },
        }

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Read `to_dict`'s result. Raises StatementUnreadable naming what is wrong."""
        try:
            members = _members(
                document, "contract_id customer_id baseline_id metric share_percent currency tariff", "contract"
            )
            tariff = _members(members["tariff"], "tariff_id tiers", "contract.tariff")
            if not isinstance(tariff["tiers"], list):
                raise ValueError("contract.tariff.tiers: not a list")
            tiers = [_members(tier, "up_to_bytes price_per_gb", "contract.tariff.tiers") for tier in tariff["tiers"]]
            return cls(
                contract_id=_text(members, "contract_id"),
                customer_id=_text(members, "customer_id"),
                baseline_id=_text(members, "baseline_id"),
                metric=_text(members, "metric"),
                share_percent=decimal_from_text(members["share_percent"]),
                currency=_text(members, "currency"),
                tariff=Tariff(
                    tariff_id=_text(tariff, "tariff_id"),
                    tiers=tuple(
                        Tier(up_to_bytes=_limit(tier), price_per_gb=decimal_from_text(tier["price_per_gb"]))
                        for tier in tiers
                    ),
                ),
            )
        except ValueError as error:
            raise StatementUnreadable(str(error)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One calendar month in UTC."""

    year: int
    month: int  # 1 to 12.

    def __post_init__(self) -> None:
        if not 2000 <= self.year <= 9998 or not 1 <= self.month <= 12:
            raise ValueError("not a month between 2000-01 and 9998-12")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read `2026-11`. Raises ValueError."""
        if not _MONTH.fullmatch(text):
            raise ValueError(f"{text[:16]!r} is not a month of the form 2026-11")
        return cls(year=int(text[:4]), month=int(text[5:]))

    @property
    def start(self) -> datetime:
        """The first moment of the month."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment after the month."""
        return datetime(self.year + self.month // 12, self.month % 12 + 1, 1, tzinfo=UTC)

    def __contains__(self, time: datetime) -> bool:
        return self.start <= time < self.end

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


def decimal_to_text(value: Decimal) -> str:
    """The one spelling of a decimal: no exponent, no trailing zeros, so that a database's scale never shows."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) if value else "0"


def decimal_from_text(text: object) -> Decimal:
    """Read `decimal_to_text`'s result for a value from 0. Raises ValueError for any other spelling."""
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise ValueError("not a decimal in its one spelling")
    return Decimal(text)


def _members(document: object, names: str, where: str) -> Mapping[str, Any]:
    if not isinstance(document, dict) or document.keys() != set(names.split()):
        raise ValueError(f"{where}: not an object with the members {names}")
    return document


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members[name]
    if not isinstance(value, str):
        raise ValueError(f"{name}: not text")
    return value


def _limit(tier: Mapping[str, Any]) -> int | None:
    value = tier["up_to_bytes"]
    if value is not None and type(value) is not int:
        raise ValueError("up_to_bytes: neither an integer nor null")
    return value
