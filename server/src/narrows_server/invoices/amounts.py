"""Amounts as people type them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from narrows_metering.money import exponent

from narrows_server.errors import Invalid


def minor_units(text: str, currency: str) -> int:
    """`1234.56` in minor units of *currency*. Raises `Invalid` for what is no number, or has too many decimals."""
    try:
        scaled = Decimal(text).scaleb(exponent(currency))
    except (InvalidOperation, ValueError) as error:
        raise Invalid(f"{text!r} is not an amount in {currency}: write it like 1234.56") from error
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise Invalid(f"{text!r} is not an amount in {currency}, which has {exponent(currency)} decimals")
    return int(scaled)
