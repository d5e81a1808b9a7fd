"""
What a statement is drawn up under: the contract's terms and the month.

The terms stand inside the statement, so whoever recomputes it needs no access to the contract's home.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from narrows_metering.cdn_tariff import ANY_REGION, CdnTariff, PercentileTariff, VolumeTariff
from narrows_metering.errors import StatementUnreadable
from narrows_metering.estimator import MILLION, Method
from narrows_metering.money import exponent
from narrows_metering.sampling import TAIL_COUNT
from narrows_metering.share import Exchange, SharePart, ShareTier
from narrows_metering.tariff import Tariff, Tier
from narrows_metering.valuation import Mode

DAYS_MAX: Final = 31
CDNS_MAX: Final = 32
PERCENT_MAX: Final = 1_000
TAIL_COUNT_MAX: Final = 100_000

_TERMS: Final = (
    "contract_id customer_id baseline_id metric share currency exchange tariff cdn_tariffs mode reference_prices "
    "invoiced_minor method noise_ppm psnr_tolerance_percent tail_count"
)

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,11})(\.[0-9]{0,11}[1-9])?")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a contract says about measuring, valuing and sharing savings in one month."""

    contract_id: str
    customer_id: str
    baseline_id: str  # The codec and settings that the contract compares with: "libx265-medium".
    metric: str  # What equal quality means: "ms_ssim", "psnr".
    share: tuple[SharePart, ...]  # Our part of the money saved, by the day from which it holds; the first from day 1.
    currency: str  # Of the share.
    tariff: Tariff  # Of every CDN that has none of its own.
    cdn_tariffs: tuple[CdnTariff, ...] = ()
    mode: Mode = Mode.AVOIDED_COST
    reference_prices: Mapping[str, Decimal] = field(default_factory=dict)  # Per GB, by region.
    invoiced_minor: Mapping[str, int] = field(default_factory=dict)  # By CDN: its invoice of the month.
    method: Method = Method.CENSUS
    noise_ppm: int = 0  # One standard deviation of a measured baseline; above 0 the lower bound is billed.
    psnr_tolerance_percent: int | None = None  # How far the baseline's bytes at equal PSNR may lie from the metric's.
    exchange: Exchange | None = None  # Where the tariffs are in another currency than the share.
    tail_count: int = TAIL_COUNT  # How many assets beyond the certainty stratum are drawn.

    def __post_init__(self) -> None:
        for name in ("contract_id", "customer_id", "baseline_id", "metric"):
            if not getattr(self, name):
                raise ValueError(f"{name}: empty")
        days = [part.from_day for part in self.share]
        if not days or days[0] != 1 or sorted(set(days)) != days or days[-1] > DAYS_MAX:
            raise ValueError("share: parts by day, the first from day 1 and each later than the one before")
        if self.exchange is not None and self.exchange.currency == self.currency:
            raise ValueError("exchange: from the currency into itself")
        exponent(self.currency)
        if self.psnr_tolerance_percent is not None and not 0 <= self.psnr_tolerance_percent <= PERCENT_MAX:
            raise ValueError(f"psnr_tolerance_percent: neither null nor 0 to {PERCENT_MAX}")
        if not 0 <= self.noise_ppm < MILLION or not 2 <= self.tail_count <= TAIL_COUNT_MAX:
            raise ValueError(f"noise_ppm or tail_count: not from 0 to 10^6, or not from 2 to {TAIL_COUNT_MAX}")
        if self.method not in (Method.SAMPLED, Method.CENSUS):
            raise ValueError("method: records alone prove m2_sampled and m3_census")
        if self.mode is Mode.REFERENCE_PRICE and ANY_REGION not in self.reference_prices:
            raise ValueError(f"reference_prices: none for {ANY_REGION}")
        if len(self.cdn_tariffs) > CDNS_MAX or len({one.cdn for one in self.cdn_tariffs}) != len(self.cdn_tariffs):
            raise ValueError(f"cdn_tariffs: at most {CDNS_MAX}, one per CDN")

    @property
    def valued_in(self) -> str:
        """The currency of the tariffs, hence of what was saved."""
        return self.exchange.currency if self.exchange else self.currency

    def tariff_of(self, cdn: str) -> CdnTariff:
        """The tariff of *cdn*."""
        own = next((one for one in self.cdn_tariffs if one.cdn == cdn), None)
        return own or VolumeTariff(cdn=cdn, regions={ANY_REGION: self.tariff})

    def to_dict(self) -> dict[str, Any]:
        """The terms as they stand in a statement; equal terms give equal text."""
        return {
            "contract_id": self.contract_id,
            "customer_id": self.customer_id,
            "baseline_id": self.baseline_id,
            "metric": self.metric,
            "share": [
                {"from_day": part.from_day, "tiers": [_share_tier_to_dict(tier) for tier in part.tiers]}
                for part in self.share
            ],
            "currency": self.currency,
            "exchange": self.exchange and exchange_to_dict(self.exchange),
            "tariff": _tariff_to_dict(self.tariff),
            "cdn_tariffs": [_cdn_tariff_to_dict(one) for one in self.cdn_tariffs],
            "mode": self.mode.value,
            "reference_prices": {name: decimal_to_text(price) for name, price in self.reference_prices.items()},
            "invoiced_minor": dict(self.invoiced_minor),
            "method": self.method.value,
            "noise_ppm": self.noise_ppm,
            "psnr_tolerance_percent": self.psnr_tolerance_percent,
            "tail_count": self.tail_count,
        }

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Read `to_dict`'s result. Raises StatementUnreadable naming what is wrong."""
        try:
            members = _members(document, _TERMS, "contract")
            amounts = _object(members, "invoiced_minor")
            if not isinstance(members["cdn_tariffs"], list):
                raise ValueError("contract.cdn_tariffs: not a list")
            return cls(
                contract_id=_text(members, "contract_id"),
                customer_id=_text(members, "customer_id"),
                baseline_id=_text(members, "baseline_id"),
                metric=_text(members, "metric"),
                share=_share_from_list(members["share"]),
                currency=_text(members, "currency"),
                exchange=None if members["exchange"] is None else _exchange_from_dict(members["exchange"]),
                tariff=_tariff_from_dict(members["tariff"]),
                cdn_tariffs=tuple(_cdn_tariff_from_dict(one) for one in members["cdn_tariffs"]),
                mode=Mode(_text(members, "mode")),
                reference_prices={
                    name: decimal_from_text(price) for name, price in _object(members, "reference_prices").items()
                },
                invoiced_minor={name: _count(amounts, name) for name in amounts},
                method=Method(_text(members, "method")),
                noise_ppm=_count(members, "noise_ppm"),
                psnr_tolerance_percent=_optional(members, "psnr_tolerance_percent"),
                tail_count=_count(members, "tail_count"),
            )
        except ValueError as error:
            raise StatementUnreadable(str(error)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """
    One calendar month in a time zone, or the days of it in which a contract holds. Half-open, midnight to midnight.

    Where the clock jumps over midnight the day begins with the jump; where midnight comes twice, with the first.
    """

    year: int
    month: int  # 1 to 12.
    time_zone: str = "UTC"  # IANA: "Europe/Stockholm".
    first_day: int = 1
    last_day: int = 0  # The month's last if 0.
    start: datetime = field(init=False, compare=False, repr=False)  # The first moment, in UTC.
    end: datetime = field(init=False, compare=False, repr=False)  # The first moment afterwards, in UTC.

    def __post_init__(self) -> None:
        if not 2000 <= self.year <= 9998 or not 1 <= self.month <= 12:
            raise ValueError("not a month between 2000-01 and 9998-12")
        if not self.last_day:
            object.__setattr__(self, "last_day", self.days_in_month)
        if not 1 <= self.first_day <= self.last_day <= self.days_in_month:
            raise ValueError(f"first_day and last_day: not days of {self} in their order")
        object.__setattr__(self, "start", self.begin(self.first_day))
        object.__setattr__(self, "end", self.begin(self.last_day + 1))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read `2026-11`: all of that month in UTC. Raises ValueError."""
        if not _MONTH.fullmatch(text):
            raise ValueError(f"{text[:16]!r} is not a month of the form 2026-11")
        return cls(year=int(text[:4]), month=int(text[5:]))

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Self:
        """Read `to_dict`'s result among other *members*. Raises KeyError and ValueError."""
        month = cls.from_text(_text(members, "month"))
        days = _count(members, "first_day"), _count(members, "last_day")
        zone = _text(members, "time_zone")
        return cls(year=month.year, month=month.month, time_zone=zone, first_day=days[0], last_day=days[1])

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a statement."""
        days = {"first_day": self.first_day, "last_day": self.last_day}
        return {"month": str(self), "time_zone": self.time_zone, **days}

    @property
    def days_in_month(self) -> int:
        """28 to 31."""
        return monthrange(self.year, self.month)[1]

    @property
    def days(self) -> int:
        """How many days this period has."""
        return self.last_day - self.first_day + 1

    def begin(self, day: int) -> datetime:
        """The first moment of a day of this month in its time zone, in UTC; the day after the last is allowed."""
        midnight = datetime(self.year, self.month, 1, tzinfo=zone(self.time_zone)) + timedelta(days=day - 1)
        return midnight.astimezone(UTC)

    def __contains__(self, time: datetime) -> bool:
        return self.start <= time < self.end

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


def zone(name: str) -> ZoneInfo:
    """The time zone of this IANA name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"time_zone: {name[:64]!r} is not known") from None


def decimal_to_text(value: Decimal) -> str:
    """The one spelling of a decimal: no exponent, no trailing zeros, so that a database's scale never shows."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) if value else "0"


def decimal_from_text(text: object) -> Decimal:
    """Read `decimal_to_text`'s result for a value from 0. Raises ValueError for any other spelling."""
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise ValueError("not a decimal in its one spelling")
    return Decimal(text)


def exchange_to_dict(exchange: Exchange) -> dict[str, str]:
    """A rate as it stands in documents."""
    rate = decimal_to_text(exchange.rate)
    return {"currency": exchange.currency, "rate": rate, "source": exchange.source, "date": exchange.date}


def _exchange_from_dict(document: object) -> Exchange:
    members = _members(document, "currency rate source date", "exchange")
    currency, source, date = (_text(members, name) for name in ("currency", "source", "date"))
    return Exchange(currency=currency, rate=decimal_from_text(members["rate"]), source=source, date=date)


def _share_tier_to_dict(tier: ShareTier) -> dict[str, Any]:
    return {"up_to_minor": tier.up_to_minor, "percent": decimal_to_text(tier.percent)}


def _share_from_list(document: object) -> tuple[SharePart, ...]:
    if not isinstance(document, list):
        raise ValueError("share: not a list")
    parts = []
    for entry in document:
        members = _members(entry, "from_day tiers", "share")
        if not isinstance(members["tiers"], list):
            raise ValueError("share.tiers: not a list")
        tiers = [_members(tier, "up_to_minor percent", "share.tiers") for tier in members["tiers"]]
        parts.append(
            SharePart(
                from_day=_count(members, "from_day"),
                tiers=tuple(
                    ShareTier(up_to_minor=_optional(tier, "up_to_minor"), percent=decimal_from_text(tier["percent"]))
                    for tier in tiers
                ),
            )
        )
    return tuple(parts)


def _tariff_to_dict(tariff: Tariff) -> dict[str, Any]:
    return {
        "tariff_id": tariff.tariff_id,
        "tiers": [
            {"up_to_bytes": tier.up_to_bytes, "price_per_gb": decimal_to_text(tier.price_per_gb)}
            for tier in tariff.tiers
        ],
    }


def _tariff_from_dict(document: object) -> Tariff:
    members = _members(document, "tariff_id tiers", "tariff")
    if not isinstance(members["tiers"], list):
        raise ValueError("tariff.tiers: not a list")
    tiers = [_members(tier, "up_to_bytes price_per_gb", "tariff.tiers") for tier in members["tiers"]]
    return Tariff(
        tariff_id=_text(members, "tariff_id"),
        tiers=tuple(
            Tier(up_to_bytes=_limit(tier), price_per_gb=decimal_from_text(tier["price_per_gb"])) for tier in tiers
        ),
    )


def _cdn_tariff_to_dict(tariff: CdnTariff) -> dict[str, Any]:
    if isinstance(tariff, VolumeTariff):
        regions = {name: _tariff_to_dict(region) for name, region in sorted(tariff.regions.items())}
        return {"cdn": tariff.cdn, "regions": regions, "commit": decimal_to_text(tariff.commit)}
    names = ("price_per_mbps", "overage_per_mbps", "commit_mbps")
    return {"cdn": tariff.cdn, **{name: decimal_to_text(getattr(tariff, name)) for name in names}}


def _cdn_tariff_from_dict(document: object) -> CdnTariff:
    if isinstance(document, dict) and "regions" in document:
        members = _members(document, "cdn regions commit", "cdn_tariffs")
        if not isinstance(members["regions"], dict):
            raise ValueError("cdn_tariffs.regions: not an object")
        return VolumeTariff(
            cdn=_text(members, "cdn"),
            regions={name: _tariff_from_dict(region) for name, region in members["regions"].items()},
            commit=decimal_from_text(members["commit"]),
        )
    members = _members(document, "cdn price_per_mbps overage_per_mbps commit_mbps", "cdn_tariffs")
    return PercentileTariff(
        cdn=_text(members, "cdn"),
        price_per_mbps=decimal_from_text(members["price_per_mbps"]),
        overage_per_mbps=decimal_from_text(members["overage_per_mbps"]),
        commit_mbps=decimal_from_text(members["commit_mbps"]),
    )


def _optional(members: Mapping[str, Any], name: str) -> int | None:
    return None if members[name] is None else _count(members, name)


def _object(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = members[name]
    if not isinstance(value, dict):
        raise ValueError(f"{name}: not an object")
    return value


def _count(members: Mapping[str, Any], name: str) -> int:
    value = members[name]
    if type(value) is not int:
        raise ValueError(f"{name}: not an integer")
    return value


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
