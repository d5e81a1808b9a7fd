"""What people type into forms, read strictly."""

from __future__ import annotations

from decimal import Decimal, DecimalException, InvalidOperation

from narrows_metering.money import exponent

from narrows_server.errors import Invalid


def minor_of(text: str, currency: str, *, signed: bool = False) -> int:
    """An amount as people write it, in minor units. Raises `Invalid`."""
    cleaned = text.strip().replace(" ", "").replace("\u2212", "-")
    try:
        amount = Decimal(cleaned).scaleb(exponent(currency))
        if not amount.is_finite() or amount != amount.to_integral_value() or abs(amount) >= 2**53:
            raise Invalid(f"{text[:40]!r} is not an amount in {currency}")
    except DecimalException as error:
        raise Invalid(f"{text[:40]!r} is not an amount; write it as 1234.56") from error
    if amount < 0 and not signed:
        raise Invalid("an amount is more than nothing")
    return int(amount)


def decimal_of(text: str) -> Decimal:
    """A number from 0, such as an exchange rate. Raises `Invalid`."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation as error:
        raise Invalid(f"{text[:40]!r} is not a number; write it as 1234.56") from error
    if not value.is_finite() or value < 0:
        raise Invalid(f"{text[:40]!r} is not a number from 0")
    return value


def major_of(minor: int, currency: str) -> str:
    """An amount as it is typed: 1234.56."""
    return format(Decimal(minor).scaleb(-exponent(currency)), "f")
