"""The share and the rate of exchange as they stand in terms, and back; reading raises ValueError naming the fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from narrows_metering.document import (
    decimal_from_text,
    decimal_to_text,
    read_count,
    read_members,
    read_optional_count,
    read_text,
)
from narrows_metering.share import Exchange, SharePart, ShareTier


def exchange_to_dict(exchange: Exchange) -> dict[str, str]:
    """A rate as it stands in documents."""
    rate = decimal_to_text(exchange.rate)
    return {"currency": exchange.currency, "rate": rate, "source": exchange.source, "date": exchange.date}


def exchange_from_dict(document: object) -> Exchange:
    """Read `exchange_to_dict`'s result."""
    members = read_members(document, "currency rate source date", "exchange")
    currency, source, date = (read_text(members, name) for name in ("currency", "source", "date"))
    return Exchange(currency=currency, rate=decimal_from_text(members["rate"]), source=source, date=date)


def share_to_list(share: Sequence[SharePart]) -> list[dict[str, Any]]:
    """The parts of the month with their tiers."""
    return [
        {
            "from_day": part.from_day,
            "tiers": [
                {"up_to_minor": tier.up_to_minor, "percent": decimal_to_text(tier.percent)} for tier in part.tiers
            ],
        }
        for part in share
    ]


def share_from_list(document: object) -> tuple[SharePart, ...]:
    """Read `share_to_list`'s result."""
    if not isinstance(document, list):
        raise ValueError("share: not a list")
    parts = []
    for entry in document:
        members = read_members(entry, "from_day tiers", "share")
        if not isinstance(members["tiers"], list):
            raise ValueError("share.tiers: not a list")
        tiers = [read_members(tier, "up_to_minor percent", "share.tiers") for tier in members["tiers"]]
        parts.append(
            SharePart(
                from_day=read_count(members, "from_day"),
                tiers=tuple(
                    ShareTier(
                        up_to_minor=read_optional_count(tier, "up_to_minor"), percent=decimal_from_text(tier["percent"])
                    )
                    for tier in tiers
                ),
            )
        )
    return tuple(parts)
