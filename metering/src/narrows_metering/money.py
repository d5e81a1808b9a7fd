"""
Money: whole minor units of one currency, and the two places where a fraction becomes whole.

Both round half to even (ROUND_HALF_EVEN), on exact fractions, once. There is no float here and none may come near.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Self

from narrows_metering.tariff import Tariff

ROUNDING: Final = "ROUND_HALF_EVEN"

# ISO 4217: how many decimals the minor unit of a currency has.
_CURRENCIES: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: "AED ARS AUD BGN BRL CAD CHF CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR KES MAD MXN MYR NGN NOK NZD PEN"
    " PHP PKR PLN QAR RON RSD SAR SEK SGD THB TRY TWD UAH USD UYU ZAR",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
_EXPONENTS: Final = {currency: digits for digits, names in _CURRENCIES.items() for currency in names.split()}


def exponent(currency: str) -> int:
    """How many decimals *currency* has: 0, 2 or 3. Raises ValueError for a currency that is not known."""
    if currency not in _EXPONENTS:
        raise ValueError(f"currency: {currency[:8]!r} is not known")
    return _EXPONENTS[currency]


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount of money; may be negative."""

    minor: int  # Cents of EUR, yen of JPY, fils of BHD.
    currency: str  # ISO 4217.

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError("minor: not an integer")
        exponent(self.currency)

    @classmethod
    def from_major(cls, amount: Fraction, currency: str) -> Self:
        """*amount* in major units, rounded half to even to minor units."""
        # `round` of a Fraction is exact and rounds half to even.
        return cls(minor=round(amount * 10 ** exponent(currency)), currency=currency)

    def __add__(self, other: Money) -> Money:
        return Money(minor=self.minor + self._same(other).minor, currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(minor=self.minor - self._same(other).minor, currency=self.currency)

    def share(self, percent: Decimal) -> Money:
        """
        *percent* of the amount, rounded half to even.

        >>> Money(minor=250, currency="EUR").share(Decimal("25"))
        Money(minor=62, currency='EUR')
        """
        return Money(minor=round(self.minor * Fraction(percent) / 100), currency=self.currency)

    def to_dict(self) -> dict[str, int | str]:
        """The amount as it stands in documents."""
        return {"minor": self.minor, "currency": self.currency}

    def __str__(self) -> str:
        """For people: `-12.05 EUR`, with the decimals that the currency has."""
        decimals = exponent(self.currency)
        digits = str(abs(self.minor)).rjust(decimals + 1, "0")
        text = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
        return f"{'-' if self.minor < 0 else ''}{text} {self.currency}"

    def _same(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be added")
        return other


def cost(bytes_delivered: int, tariff: Tariff, *, currency: str) -> Money:
    """What *bytes_delivered* in one month cost under *tariff*, rounded half to even, as a CDN's invoice would."""
    return Money.from_major(tariff.price(bytes_delivered), currency)
