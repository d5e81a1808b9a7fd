"""
The invoice as a document: what is hashed, kept, printed and sent.

Everything that paper and XML show is in here, so a later change of an address, a rate or a tariff's name changes no
old invoice. Pure: an order, two parties and a day go in. Amounts are integers in minor units.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import rfc8785

from narrows_server.invoices.models import Kind
from narrows_server.invoices.order import InvoiceOrder
from narrows_server.invoices.periods import period_days
from narrows_server.parties.party import Buyer, Seller
from narrows_server.rating.lines import Line
from narrows_server.tax.breakdown import Subtotal, break_down
from narrows_server.tax.treatment import Standing, Treatment, treat

FORMAT = "narrows-invoice/2"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxEvidence:
    """Why the buyer's VAT id counted, or did not."""

    vat_id: str
    country: str
    checked_at: str
    method: str
    is_valid: bool
    consultation_number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Who to whom, and what is known of the buyer's VAT id."""

    seller: Seller
    buyer: Buyer
    evidence: TaxEvidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """What an invoice gets when it is issued."""

    number: str
    issued_on: date
    due_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """The lines of an order with their tax."""

    treatments: tuple[Treatment, ...]  # One for each line.
    subtotals: tuple[Subtotal, ...]

    @property
    def net_minor(self) -> int:
        return sum(subtotal.base_minor for subtotal in self.subtotals)

    @property
    def tax_minor(self) -> int:
        return sum(subtotal.tax_minor for subtotal in self.subtotals)

    @property
    def total_minor(self) -> int:
        """Below 0 where we owe the customer. Not as the net amount is: old lines may have another rate."""
        return self.net_minor + self.tax_minor


def assess(order: InvoiceOrder, parties: Parties) -> Assessed:
    """Tax every line by the day on which its period ends. Raises `TaxUnclear`."""
    evidence, seller, buyer = parties.evidence, parties.seller, parties.buyer
    counts = evidence is not None and evidence.is_valid and evidence.country == buyer.country
    seller_standing = Standing(country=seller.country, has_vat_id=seller.vat_id is not None)
    buyer_standing = Standing(country=buyer.country, has_vat_id=counts)
    treatments = tuple(treat(seller_standing, buyer_standing, on=_tax_point(line, order)) for line in order.lines)
    if not treatments:
        treatments_of_nothing = treat(seller_standing, buyer_standing, on=order.last_day)
        return Assessed(treatments=(), subtotals=break_down([(0, treatments_of_nothing)]))
    nets = [line.amount.minor for line in order.lines]
    return Assessed(treatments=treatments, subtotals=break_down(zip(nets, treatments, strict=True)))


def write_document(numbered: Numbered, order: InvoiceOrder, parties: Parties, assessed: Assessed) -> dict[str, Any]:
    """The document of an invoice."""
    figures, exchange = order.figures, order.exchange
    return {
        "format": FORMAT,
        "kind": Kind.INVOICE.value,
        "number": numbered.number,
        "issued_on": numbered.issued_on.isoformat(),
        "due_on": numbered.due_on.isoformat(),
        "currency": order.currency,
        "seller": parties.seller.to_dict(),
        "buyer": parties.buyer.to_dict(),
        "tax_evidence": asdict(parties.evidence) if parties.evidence else None,
        "contract": asdict(order.contract) if order.contract else None,
        "period": {"first_day": order.first_day.isoformat(), "last_day": order.last_day.isoformat()},
        "credits": None,
        "volumes": [
            {"kind": kind, "bytes": volume, "minor": minor, "currency": figures.valued_in}
            for kind, volume, minor in (
                ("baseline", figures.baseline_bytes, figures.baseline_minor),
                ("delivered", figures.delivered_bytes, figures.delivered_minor),
                ("saved", figures.saved_bytes, figures.value_minor),
            )
        ]
        if figures
        else [],
        "lines": write_lines(order.lines, assessed.treatments),
        "taxes": [subtotal.to_dict() for subtotal in assessed.subtotals],
        "net_minor": assessed.net_minor,
        "tax_minor": assessed.tax_minor,
        "total_minor": assessed.total_minor,
        "exchange": {
            "currency": exchange.currency,
            "rate": str(exchange.rate),
            "on": exchange.on.isoformat(),
            "source": exchange.source,
        }
        if exchange
        else None,
        "reason": figures.reason if figures else None,
        "statement": asdict(order.statement) if order.statement else None,
    }


def write_lines(lines: Sequence[Line], treatments: Sequence[Treatment]) -> list[dict[str, Any]]:
    """The lines as they stand in a document, counted from 1."""
    return [
        {
            "id": position,
            "kind": line.kind.value,
            "period": line.period,
            "text": line.text,
            "net_minor": line.amount.minor,
            "category": treatment.category.value,
            "rate": str(treatment.rate),
        }
        for position, (line, treatment) in enumerate(zip(lines, treatments, strict=True), start=1)
    ]


def canonical(document: dict[str, Any]) -> str:
    """The text that is kept: canonical JSON (RFC 8785)."""
    return rfc8785.dumps(document).decode()


def content_hash(text: str) -> str:
    """SHA-256 of a kept document, lower-case hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _tax_point(line: Line, order: InvoiceOrder) -> date:
    """The last day of the line's period: a correction is taxed as what it corrects was."""
    days = period_days(line.period)
    return days[1] if days else order.last_day
