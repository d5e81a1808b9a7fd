"""
How a sale of our service is taxed: what EN 16931 calls the VAT category, its rate and the reason for charging none.

The rule is that for electronically supplied services between businesses: Articles 44 and 196 of Directive 2006/112/EC
inside the EU, and its mirror in the United Kingdom, Switzerland and Norway. It looks at nothing but the two parties
and the day; whether the buyer's VAT id counts was decided, and evidenced, before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from narrows_server.tax.rates import COUNTRIES, EUROPEAN_UNION, standard_rate


class Category(StrEnum):
    """The codes of UNCL 5305 that EN 16931 knows and we use."""

    STANDARD = "S"
    REVERSE_CHARGE = "AE"
    EXPORT = "G"
    NONE = "O"


# The codes of the VATEX list, and the words that Article 226 (11a) of the directive asks for.
_REASONS = {
    Category.REVERSE_CHARGE: ("VATEX-EU-AE", "Reverse charge"),
    Category.EXPORT: ("VATEX-EU-G", "Not taxable in the seller's country: the customer is established outside it"),
    Category.NONE: ("VATEX-EU-O", "Not subject to VAT"),
}


# Places that are inside the VAT system of another country.
_INSIDE = {"MC": "FR", "IM": "GB"}


class TaxUnclear(ValueError):
    """The tax of a sale cannot be decided; says what has to be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What decides about one of the parties."""

    country: str | None  # ISO 3166-1 alpha-2.
    has_vat_id: bool  # A valid one, of that country.


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """The category of a line and the rate in it."""

    category: Category
    rate: Decimal  # Per cent; 0 in every category but the standard one.

    @property
    def reason_code(self) -> str | None:
        """The VATEX code of why nothing is charged (BT-121)."""
        return _REASONS[self.category][0] if self.category in _REASONS else None

    @property
    def reason(self) -> str | None:
        """The same in words (BT-120)."""
        return _REASONS[self.category][1] if self.category in _REASONS else None


def treat(seller: Standing, buyer: Standing, *, on: date) -> Treatment:
    """
    The treatment of a service that *seller* supplied to *buyer* until the day *on*.

    A seller without a VAT id charges none, and none is charged in countries without one. Raises `TaxUnclear`.
    """
    if not seller.has_vat_id or seller.country not in COUNTRIES:
        return Treatment(category=Category.NONE, rate=Decimal(0))
    if buyer.country is None:
        raise TaxUnclear("the customer's country is not known")
    country = _INSIDE.get(buyer.country, buyer.country)
    if country == seller.country:
        return _charged(seller.country, on)
    if {seller.country, country} <= EUROPEAN_UNION:
        # Who shows no VAT id counts as a consumer (Article 18 of Regulation 282/2011): the seller's own rate.
        if not buyer.has_vat_id:
            return _charged(seller.country, on)
        return Treatment(category=Category.REVERSE_CHARGE, rate=Decimal(0))
    return Treatment(category=Category.EXPORT, rate=Decimal(0))


def _charged(country: str, on: date) -> Treatment:
    try:
        return Treatment(category=Category.STANDARD, rate=standard_rate(country, on))
    except ValueError as error:
        raise TaxUnclear(str(error)) from None
