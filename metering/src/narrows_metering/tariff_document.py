"""Tariffs as they stand in the terms of a statement, and back. Reading raises ValueError naming what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from narrows_metering.cdn_tariff import CdnTariff, PercentileTariff, VolumeTariff
from narrows_metering.document import (
    decimal_from_text,
    decimal_to_text,
    read_list,
    read_members,
    read_object,
    read_text,
)
from narrows_metering.tariff import Tariff, Tier

_TIERS_MAX: Final = 1_000


def tariff_to_dict(tariff: Tariff) -> dict[str, Any]:
    """Graduated tiers."""
    return {
        "tariff_id": tariff.tariff_id,
        "tiers": [
            {"up_to_bytes": tier.up_to_bytes, "price_per_gb": decimal_to_text(tier.price_per_gb)}
            for tier in tariff.tiers
        ],
    }


def tariff_from_dict(document: object) -> Tariff:
    """Read `tariff_to_dict`'s result."""
    members = read_members(document, "tariff_id tiers", "tariff")
    tiers = [
        read_members(tier, "up_to_bytes price_per_gb", "tariff.tiers")
        for tier in read_list(members, "tiers", most=_TIERS_MAX)
    ]
    return Tariff(
        tariff_id=read_text(members, "tariff_id"),
        tiers=tuple(
            Tier(up_to_bytes=_limit(tier), price_per_gb=decimal_from_text(tier["price_per_gb"])) for tier in tiers
        ),
    )


def cdn_tariff_to_dict(tariff: CdnTariff) -> dict[str, Any]:
    """What one CDN charges."""
    if isinstance(tariff, VolumeTariff):
        regions = {name: tariff_to_dict(region) for name, region in sorted(tariff.regions.items())}
        return {"cdn": tariff.cdn, "regions": regions, "commit": decimal_to_text(tariff.commit)}
    names = ("price_per_mbps", "overage_per_mbps", "commit_mbps")
    return {"cdn": tariff.cdn, **{name: decimal_to_text(getattr(tariff, name)) for name in names}}


def cdn_tariff_from_dict(document: object) -> CdnTariff:
    """Read `cdn_tariff_to_dict`'s result."""
    if isinstance(document, dict) and "regions" in document:
        members = read_members(document, "cdn regions commit", "cdn_tariffs")
        return VolumeTariff(
            cdn=read_text(members, "cdn"),
            regions={name: tariff_from_dict(region) for name, region in read_object(members, "regions").items()},
            commit=decimal_from_text(members["commit"]),
        )
    members = read_members(document, "cdn price_per_mbps overage_per_mbps commit_mbps", "cdn_tariffs")
    return PercentileTariff(
        cdn=read_text(members, "cdn"),
        price_per_mbps=decimal_from_text(members["price_per_mbps"]),
        overage_per_mbps=decimal_from_text(members["overage_per_mbps"]),
        commit_mbps=decimal_from_text(members["commit_mbps"]),
    )


def _limit(tier: Mapping[str, Any]) -> int | None:
    value = tier["up_to_bytes"]
    if value is not None and type(value) is not int:
        raise ValueError("up_to_bytes: neither an integer nor null")
    return value
