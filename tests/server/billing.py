"""Builders for everything about invoices: entities in several countries, customers anywhere, orders of any lines."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from narrows_metering.money import Money
from narrows_server.audit import Occasion
from narrows_server.customers import service as customers
from narrows_server.invoices import service as invoices
from narrows_server.invoices.models import Invoice
from narrows_server.invoices.order import ContractNote, InvoiceOrder
from narrows_server.parties import service as parties
from narrows_server.parties.party import Party, Seller
from narrows_server.rating.lines import Kind, Line
from sqlalchemy.orm import Session

from .builders import NOW, VENDOR, an_occasion

DECEMBER_FIRST = datetime(2026, 12, 1, 6, tzinfo=UTC)
BERLIN = replace(
    VENDOR, name="Narrows GmbH", vat_id="DE136695976", registration="HRB 208118 B", bank="Deutsche Kreditbank"
)
PARIS = Seller(
    name="Narrows SAS",
    address=("8 rue du Sentier",),
    postcode="75002",
    city="Paris",
    country="FR",
    vat_id="FR40303265045",
    iban="FR7630006000011234567890189",
)
LONDON = Seller(
    name="Narrows Ltd",
    address=("1 Fleet Street",),
    postcode="EC4M 7RA",
    city="London",
    country="GB",
    vat_id="GB980780684",
    iban="GB29NWBK60161331926819",
    base_currency="GBP",
)
ZURICH = replace(
    LONDON,
    name="Narrows AG",
    country="CH",
    vat_id="CHE107787577IVA",
    iban="CH9300762011623852957",
    postcode="8001",
    city="Zürich",
    address=("Bahnhofstrasse 1",),
    base_currency="CHF",
)
NEW_YORK = Seller(
    name="Narrows Inc.", address=("233 Broadway",), postcode="NY 10279", city="New York", country="US",
    tax_id="EIN 12-3456789", base_currency="USD", payment=("Wire to account 123456789, routing 021000021",),
)  # fmt: skip


def an_entity(session: Session, seller: Seller = BERLIN, *, entity_id: str | None = None) -> str:
    """A further legal entity; returns its id."""
    occasion = an_occasion(NOW + timedelta(days=1))
    return parties.add_entity(session, seller, entity_id=entity_id, occasion=occasion).id


def a_customer(
    session: Session, customer_id: str = "acme", *, name: str = "Acme Streaming GmbH", **profile: str | None
) -> str:
    """A customer with a billing profile, in Germany unless another country is named; returns its id."""
    party = Party(name=name, address=("Hauptstraße 5",), email="accounts@acme.example")
    customers.add_customer(session, party, customer_id=customer_id, occasion=an_occasion())
    given = {"country": "DE", "postcode": "80331", "city": "München", **profile}
    parties.set_profile(session, customer_id, occasion=an_occasion(), **given)
    return customer_id


def a_line(
    minor: int, *, kind: Kind = Kind.SHARE, period: str = "2026-11", currency: str = "EUR", text: str = ""
) -> Line:
    """A line before tax."""
    return Line(
        kind=kind, period=period, text=text or f"{kind.value} of {period}", amount=Money(minor=minor, currency=currency)
    )


def an_order(*lines: Line, entity_id: str = "vendor", customer_id: str = "acme", **members: Any) -> InvoiceOrder:
    """An order of November over *lines*, or over one share of 100.00 EUR."""
    chosen = lines or (a_line(10_000),)
    given: dict[str, Any] = {
        "entity_id": entity_id,
        "customer_id": customer_id,
        "currency": chosen[0].amount.currency,
        "lines": chosen,
        "first_day": date(2026, 11, 1),
        "last_day": date(2026, 11, 30),
        "contract": ContractNote(id="acme-1", baseline="libx265-medium", metric="ms_ssim", tariff="CDN 2026"),
    }
    return InvoiceOrder(**{**given, **members})


def an_invoice(session: Session, order: InvoiceOrder | None = None, *, at: datetime = DECEMBER_FIRST) -> Invoice:
    """An issued invoice."""
    occasion = Occasion(actor="admin:test", at=at)
    return invoices.issue(session, invoices.draft(session, order or an_order(), occasion=occasion), occasion=occasion)
