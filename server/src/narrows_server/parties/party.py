"""The two parties of an invoice, as they stand in its document. Values only; what is stored is in `models`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

ADDRESS_LINES_MAX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A name and an address as on an envelope. *tax_id* is printed as it stands, whatever it is called there."""

    name: str
    address: tuple[str, ...] = ()  # Without name, postcode, city and country, where those are known by themselves.
    postcode: str | None = None
    city: str | None = None
    country: str | None = None  # ISO 3166-1 alpha-2.
    email: str | None = None
    tax_id: str | None = None  # Of a kind that is not known, or a tax number that is no VAT id.
    vat_id: str | None = None  # Compact, with its prefix: "DE136695976".

    def to_dict(self) -> dict[str, Any]:
        """As it stands in an invoice's document."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        """Read `to_dict`'s result."""
        read: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in document.items()}
        return cls(**read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller(Party):
    """A legal entity that sends invoices."""

    id: str | None = None  # Ours, where it is stored; by it the buyer's software knows the sender (BT-29).
    base_currency: str = "EUR"  # Of its accounts and its tax returns.
    registration: str | None = None  # "HRB 123456 B, Amtsgericht Charlottenburg".
    iban: str | None = None
    bic: str | None = None
    bank: str | None = None
    payment: tuple[str, ...] = ()  # Further lines that say how to pay.


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer(Party):
    """A customer as the addressee of an invoice."""

    id: str
    language: str = "en"  # Of the paper.
    reference: str | None = None  # What the customer's accounts find the invoice by (BT-10).
    purchase_order: str | None = None  # BT-13.
    electronic_address: str | None = None  # "SCHEME:ID" of the Electronic Address Scheme, such as "0204:…" (BT-49).
