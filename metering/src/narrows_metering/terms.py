"""
What a statement is drawn up under: the contract's terms.

The terms stand inside the statement, so whoever recomputes it needs no access to the contract's home.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Self

from narrows_metering.baseline_spec import BaselineSpec
from narrows_metering.bench import Stipulation
from narrows_metering.canonical import canonical_json
from narrows_metering.cdn_tariff import ANY_REGION, CdnTariff, VolumeTariff
from narrows_metering.document import (
    decimal_from_text,
    decimal_to_text,
    read_count,
    read_list,
    read_members,
    read_object,
    read_optional_count,
    read_text,
)
from narrows_metering.errors import StatementUnreadable
from narrows_metering.estimator import HOLDOUT_PERCENT_MAX, HOLDOUT_PERCENT_MIN, MILLION, Method
from narrows_metering.money import exponent
from narrows_metering.period import Period, zone
from narrows_metering.sampling import SAMPLE_COUNT
from narrows_metering.share import Exchange, SharePart
from narrows_metering.share_document import exchange_from_dict, exchange_to_dict, share_from_list, share_to_list
from narrows_metering.tariff import Tariff
from narrows_metering.tariff_document import cdn_tariff_from_dict, cdn_tariff_to_dict, tariff_from_dict, tariff_to_dict
from narrows_metering.valuation import Mode

__all__ = ["Period", "Terms", "decimal_from_text", "decimal_to_text", "zone"]

DAYS_MAX: Final = 31
CDNS_MAX: Final = 32
PERCENT_MAX: Final = 1_000
SAMPLE_COUNT_MAX: Final = 100_000
SEGMENT_COUNT_MAX: Final = 200  # As many as the evidence of a long asset can list in one record.

_MEMBERS: Final = (
    "contract_id customer_id baseline_id baseline metric share currency exchange tariff cdn_tariffs mode "
    "reference_prices invoiced_minor method stipulation holdout_percent noise_ppm psnr_tolerance_percent sample_count "
    "segment_count"
)
_MEASURING: Final = (
    "contract_id", "customer_id", "baseline_id", "baseline", "metric", "method", "sample_count", "segment_count"
)  # fmt: skip


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
    sample_count: int = SAMPLE_COUNT  # How many assets are measured in a month, of M2.
    segment_count: int | None = None  # How many segments of a long asset are; None measures all of it.
    baseline: BaselineSpec | None = None  # All that decides what the baseline needs; None accepts any settings.
    stipulation: Stipulation | None = None  # Of M1: the bench, and the first of its months.
    holdout_percent: int | None = None  # Of M4: how much of the sessions gets the baseline's ladder.

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
        if not 0 <= self.noise_ppm < MILLION or not 2 <= self.sample_count <= SAMPLE_COUNT_MAX:
            raise ValueError(f"noise_ppm or sample_count: not from 0 to 10^6, or not from 2 to {SAMPLE_COUNT_MAX}")
        if self.segment_count is not None and not 2 <= self.segment_count <= SEGMENT_COUNT_MAX:
            raise ValueError(f"segment_count: neither null nor from 2 to {SEGMENT_COUNT_MAX}")
        self._check_baseline()
        self._check_method()
        if self.mode is Mode.REFERENCE_PRICE and ANY_REGION not in self.reference_prices:
            raise ValueError(f"reference_prices: none for {ANY_REGION}")
        if len(self.cdn_tariffs) > CDNS_MAX or len({one.cdn for one in self.cdn_tariffs}) != len(self.cdn_tariffs):
            raise ValueError(f"cdn_tariffs: at most {CDNS_MAX}, one per CDN")

    @property
    def valued_in(self) -> str:
        """The currency of the tariffs, hence of what was saved."""
        return self.exchange.currency if self.exchange else self.currency

    def _check_baseline(self) -> None:
        spec = self.baseline
        if spec is None:
            return
        for name in ("baseline_id", "metric", "psnr_tolerance_percent"):
            if getattr(self, name) != getattr(spec, name):
                raise ValueError(f"{name}: the contract says {getattr(self, name)}, its baseline {getattr(spec, name)}")

    def _check_method(self) -> None:
        if (self.method is Method.STIPULATED) != (self.stipulation is not None):
            raise ValueError(f"stipulation: {Method.STIPULATED.value} needs one, and no other method has one")
        if (self.method is Method.HOLDOUT) != (self.holdout_percent is not None):
            raise ValueError(f"holdout_percent: {Method.HOLDOUT.value} needs one, and no other method has one")
        if self.holdout_percent is not None and not HOLDOUT_PERCENT_MIN <= self.holdout_percent <= HOLDOUT_PERCENT_MAX:
            raise ValueError(f"holdout_percent: not from {HOLDOUT_PERCENT_MIN} to {HOLDOUT_PERCENT_MAX}")
        bench = self.stipulation and self.stipulation.bench
        if bench and (bench.baseline_id, bench.metric) != (self.baseline_id, self.metric):
            raise ValueError(f"stipulation: its bench compares with {bench.baseline_id} at equal {bench.metric}")

    def measuring_hash(self) -> str:
        """
        SHA-256 over the terms that say what is measured: the contract's part of every seed.

        Prices are not among them: whoever measures need not know them, and an invoice that arrives changes no draw.
        """
        document = self.to_dict()
        return hashlib.sha256(canonical_json({name: document[name] for name in _MEASURING})).hexdigest()

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
            "baseline": self.baseline and self.baseline.to_dict(),
            "metric": self.metric,
            "share": share_to_list(self.share),
            "currency": self.currency,
            "exchange": self.exchange and exchange_to_dict(self.exchange),
            "tariff": tariff_to_dict(self.tariff),
            "cdn_tariffs": [cdn_tariff_to_dict(one) for one in self.cdn_tariffs],
            "mode": self.mode.value,
            "reference_prices": {name: decimal_to_text(price) for name, price in self.reference_prices.items()},
            "invoiced_minor": dict(self.invoiced_minor),
            "method": self.method.value,
            "stipulation": self.stipulation and self.stipulation.to_dict(),
            "holdout_percent": self.holdout_percent,
            "noise_ppm": self.noise_ppm,
            "psnr_tolerance_percent": self.psnr_tolerance_percent,
            "sample_count": self.sample_count,
            "segment_count": self.segment_count,
        }

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Read `to_dict`'s result. Raises StatementUnreadable naming what is wrong."""
        try:
            members = read_members(document, _MEMBERS, "contract")
            amounts = read_object(members, "invoiced_minor")
            tariffs = read_list(members, "cdn_tariffs", most=CDNS_MAX)
            baseline, stipulation = members["baseline"], members["stipulation"]
            return cls(
                contract_id=read_text(members, "contract_id"),
                customer_id=read_text(members, "customer_id"),
                baseline_id=read_text(members, "baseline_id"),
                metric=read_text(members, "metric"),
                share=share_from_list(members["share"]),
                currency=read_text(members, "currency"),
                exchange=None if members["exchange"] is None else exchange_from_dict(members["exchange"]),
                tariff=tariff_from_dict(members["tariff"]),
                cdn_tariffs=tuple(cdn_tariff_from_dict(one) for one in tariffs),
                mode=Mode(read_text(members, "mode")),
                reference_prices={
                    name: decimal_from_text(price) for name, price in read_object(members, "reference_prices").items()
                },
                invoiced_minor={name: read_count(amounts, name) for name in amounts},
                method=Method(read_text(members, "method")),
                noise_ppm=read_count(members, "noise_ppm"),
                psnr_tolerance_percent=read_optional_count(members, "psnr_tolerance_percent"),
                sample_count=read_count(members, "sample_count"),
                segment_count=read_optional_count(members, "segment_count"),
                baseline=None if baseline is None else BaselineSpec.from_dict(baseline),
                stipulation=None if stipulation is None else Stipulation.from_dict(stipulation),
                holdout_percent=read_optional_count(members, "holdout_percent"),
            )
        except ValueError as error:
            raise StatementUnreadable(str(error)) from None
