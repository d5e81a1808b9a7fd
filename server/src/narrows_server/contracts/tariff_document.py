"""
The document of a tariff: what a customer pays its CDNs for bandwidth, as the customer's auditor reads it.

A price for all CDNs, and those of CDNs with a price of their own: tiers per region with a commit, or the 95th
percentile. A tariff is never changed; a new price is a new tariff, and an amendment of the contract to it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from narrows_metering.cdn_tariff import ANY_REGION, CdnTariff, PercentileTariff, VolumeTariff
from narrows_metering.tariff import TIERS_MAX, Tariff, Tier
from narrows_metering.terms import CDNS_MAX
from pydantic import Field, model_validator

from narrows_server.contracts.models import CDN_CHARACTERS_MAX
from narrows_server.contracts.reading import Amount, Currency, Document


class TierIn(Document):
    """A price per GB (10⁹ bytes) of the bytes above the tier before and up to `up_to_gb`; the last one has none."""

    up_to_gb: Amount | None = None
    price_per_gb: Amount

    def to_tier(self) -> Tier:
        up_to = None if self.up_to_gb is None else self.up_to_gb.scaleb(9)
        if up_to is not None and up_to != up_to.to_integral_value():
            raise ValueError("up_to_gb: not a whole number of bytes")
        return Tier(up_to_bytes=None if up_to is None else int(up_to), price_per_gb=self.price_per_gb)


Tiers = Annotated[tuple[TierIn, ...], Field(min_length=1, max_length=TIERS_MAX, strict=False)]


class VolumeIn(Document):
    """A CDN that charges gigabytes: graduated tiers per region (`*` for all others), at least `commit` a month."""

    kind: Literal["volume"]
    cdn: Annotated[str, Field(min_length=1, max_length=CDN_CHARACTERS_MAX)]
    regions: dict[str, Tiers]
    commit: Amount = Field(default="0", validate_default=True)


class PercentileIn(Document):
    """A CDN that charges the 95th percentile of the rate, in Mbit/s."""

    kind: Literal["percentile"]
    cdn: Annotated[str, Field(min_length=1, max_length=CDN_CHARACTERS_MAX)]
    price_per_mbps: Amount
    overage_per_mbps: Amount
    commit_mbps: Amount = Field(default="0", validate_default=True)


class TariffDocument(Document):
    """The prices of one customer, in one currency."""

    format: Literal["narrows-tariff/1"] = "narrows-tariff/1"
    name: Annotated[str, Field(min_length=1, max_length=200)]
    currency: Currency
    tiers: Tiers  # For every CDN that is not named below.
    cdns: Annotated[
        tuple[Annotated[VolumeIn | PercentileIn, Field(discriminator="kind")], ...],
        Field(max_length=CDNS_MAX, strict=False),
    ] = ()

    @model_validator(mode="after")
    def _prices_everything_clearly(self) -> TariffDocument:
        self.tariff("tariff")
        names = [one.cdn for one in self.cdns]
        if len(set(names)) != len(names):
            raise ValueError("cdns: one entry per CDN")
        self.cdn_tariffs("tariff")
        return self

    def tariff(self, tariff_id: str) -> Tariff:
        """The price of every CDN that has none of its own, for `narrows_metering`."""
        return Tariff(tariff_id=tariff_id, tiers=tuple(tier.to_tier() for tier in self.tiers))

    def cdn_tariffs(self, tariff_id: str) -> tuple[CdnTariff, ...]:
        """The prices of the CDNs that have their own."""
        return tuple(_to_cdn_tariff(one, tariff_id) for one in self.cdns)


def _to_cdn_tariff(one: VolumeIn | PercentileIn, tariff_id: str) -> CdnTariff:
    if isinstance(one, PercentileIn):
        return PercentileTariff(
            cdn=one.cdn,
            price_per_mbps=one.price_per_mbps,
            overage_per_mbps=one.overage_per_mbps,
            commit_mbps=one.commit_mbps,
        )
    if ANY_REGION not in one.regions:
        raise ValueError(f"cdns: {one.cdn} needs a price for the region {ANY_REGION}, which is all that are not named")
    regions = {
        name: Tariff(tariff_id=f"{tariff_id}.{one.cdn}.{name}", tiers=tuple(tier.to_tier() for tier in tiers))
        for name, tiers in one.regions.items()
    }
    return VolumeTariff(cdn=one.cdn, regions=regions, commit=one.commit)
