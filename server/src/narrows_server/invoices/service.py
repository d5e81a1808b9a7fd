"""
Drafting and issuing invoices.

A draft is what an invoice would be; issuing dates, numbers and seals it, and posts it to the journal, all in one
transaction. From then on the database refuses to change it: what is wrong is corrected by a credit note.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.customers.repository import get_customer, lock_customer
from narrows_server.errors import Invalid, NotFound, ServerError
from narrows_server.identity import new_id
from narrows_server.invoices import repository
from narrows_server.invoices.document import (
    Assessed,
    Numbered,
    Parties,
    TaxEvidence,
    assess,
    canonical,
    content_hash,
    write_document,
)
from narrows_server.invoices.models import DRAFT, ISSUED, Invoice, Kind
from narrows_server.invoices.numbering import take_number
from narrows_server.invoices.order import LINES_MAX, InvoiceOrder
from narrows_server.journal.service import post_invoice
from narrows_server.parties.models import VatIdCheck
from narrows_server.parties.service import buyer_of, evidence_of, require_entity, seller_of
from narrows_server.parties.vat_id import read_vat_id
from narrows_server.tax.treatment import TaxUnclear


class InvoiceAltered(ServerError):
    """An issued invoice in the database is not the one that was issued; it must be restored from a backup."""

    code, title = "invoice_altered", "The stored invoice is not the one that was issued"


class TaxUndecided(Invalid):
    """An invoice cannot be written before something is known that decides about its tax; the detail says what."""

    code, title = "tax_undecided", "The tax of the invoice cannot be decided yet"


def draft(session: Session, order: InvoiceOrder, *, occasion: Occasion) -> Invoice:
    """
    An invoice over *order*, without a number yet; 0 is an amount like any other.

    Raises `NotFound` for its entity or customer, `TaxUndecided`, and `Invalid` for lines that make no invoice.
    """
    check_order(order)
    assessed = assess_order(session, order, occasion)[1]
    if assessed.total_minor < 0:
        raise Invalid("the lines come to less than nothing: that is a credit note, see `credit_surplus`")
    invoice = Invoice(
        id=new_id("inv"),
        kind=Kind.INVOICE.value,
        status=DRAFT,
        number=None,
        entity_id=order.entity_id,
        customer_id=order.customer_id,
        statement_id=order.statement.id if order.statement else None,
        credits_id=None,
        currency=order.currency,
        drafted_at=occasion.at,
        issued_at=None,
        due_on=None,
        order_text=order.to_text(),
        document=None,
        content_hash=None,
        customer=get_customer(session, order.customer_id),
        **_totals(assessed),
    )
    session.add(invoice)
    session.flush()
    audit.write(session, occasion, "invoice.drafted", invoice.id, statement=invoice.statement_id)
    return invoice


def issue(session: Session, invoice: Invoice, *, occasion: Occasion) -> Invoice:
    """
    Number, date and seal a draft. From then on the database refuses to change it.

    Tax and parties are those of today: an address that was mended since the draft is right on the invoice. Raises
    `Invalid` for no draft, `TaxUndecided`.
    """
    if invoice.status != DRAFT:
        raise Invalid(f"invoice {invoice.number or invoice.id} is not a draft")
    # Whoever needs both locks, of a customer and of a series, takes the customer's first.
    lock_customer(session, invoice.customer_id)
    order = InvoiceOrder.from_text(invoice.order_text)
    parties, assessed = assess_order(session, order, occasion)
    issued_on = occasion.at.date()
    due_on = issued_on + timedelta(days=order.terms_days)
    entity = require_entity(session, order.entity_id)
    numbered = Numbered(
        number=take_number(session, entity, Kind.INVOICE, issued_on), issued_on=issued_on, due_on=due_on
    )
    for name, value in _totals(assessed).items():
        setattr(invoice, name, value)
    invoice.due_on = due_on
    seal(session, invoice, write_document(numbered, order, parties, assessed), occasion=occasion)
    post_invoice(session, invoice, occasion=occasion)
    return invoice


def seal(session: Session, invoice: Invoice, document: dict[str, Any], *, occasion: Occasion) -> None:
    """Write the finished *document* into its row and have the database keep it."""
    text = canonical(document)
    invoice.status = ISSUED
    invoice.number = document["number"]
    invoice.issued_at = occasion.at
    invoice.document = text
    invoice.content_hash = content_hash(text)
    session.flush()
    audit.write(
        session,
        occasion,
        f"{invoice.kind}.issued",
        document["number"],
        customer=invoice.customer_id,
        hash=invoice.content_hash,
    )


def preview(session: Session, invoice: Invoice, *, occasion: Occasion) -> dict[str, Any]:
    """The document that a draft would become today, without a number. Raises `TaxUndecided`."""
    order = InvoiceOrder.from_text(invoice.order_text)
    parties, assessed = assess_order(session, order, occasion)
    today = occasion.at.date()
    numbered = Numbered(number="", issued_on=today, due_on=today + timedelta(days=order.terms_days))
    return write_document(numbered, order, parties, assessed)


def require_invoice(session: Session, number: str, *, customer_id: str | None = None) -> Invoice:
    """The issued invoice or credit note *number*. Raises `NotFound`, also if it belongs to another customer."""
    invoice = repository.get_by_number(session, number)
    if invoice is None or invoice.document is None or customer_id not in (None, invoice.customer_id):
        raise NotFound(f"there is no invoice {number}")
    return invoice


def document_of(invoice: Invoice) -> dict[str, Any]:
    """The document of an issued invoice. Raises `InvoiceAltered` if its hash is wrong."""
    assert invoice.document is not None
    if content_hash(invoice.document) != invoice.content_hash:
        raise InvoiceAltered(f"the content of invoice {invoice.number} does not give its hash")
    document: dict[str, Any] = json.loads(invoice.document)
    return document


def require_issued(session: Session, number: str, *, customer_id: str | None = None) -> dict[str, Any]:
    """The document of the issued invoice *number*. Raises `NotFound`, `InvoiceAltered`."""
    return document_of(require_invoice(session, number, customer_id=customer_id))


def assess_order(session: Session, order: InvoiceOrder, occasion: Occasion) -> tuple[Parties, Assessed]:
    """The parties of an order as they are today, and the tax of its lines. Raises `NotFound`, `TaxUndecided`."""
    entity = require_entity(session, order.entity_id)
    customer = get_customer(session, order.customer_id)
    if customer is None:
        raise NotFound(f"there is no customer {order.customer_id}")
    buyer = buyer_of(session, customer)
    check = evidence_of(session, buyer, occasion)
    parties = Parties(seller=seller_of(entity), buyer=buyer, evidence=_evidence(check) if check else None)
    try:
        assessed = assess(order, parties)
    except TaxUnclear as error:
        raise TaxUndecided(f"customer {buyer.id}: {error}; complete the billing profile") from error
    return parties, assessed


def check_order(order: InvoiceOrder) -> None:
    """Raise `Invalid` for lines that make no document."""
    if len(order.lines) > LINES_MAX:
        raise Invalid(f"an invoice has at most {LINES_MAX} lines, not {len(order.lines)}")
    if any(line.amount.currency != order.currency for line in order.lines):
        raise Invalid(f"every line must be in {order.currency}")
    if order.last_day < order.first_day:
        raise Invalid(f"a period cannot end on {order.last_day} and begin on {order.first_day}")


def _evidence(check: VatIdCheck) -> TaxEvidence:
    return TaxEvidence(
        vat_id=check.vat_id,
        country=read_vat_id(check.vat_id).country,
        checked_at=check.checked_at.isoformat(),
        method=check.method,
        is_valid=check.is_valid,
        consultation_number=check.consultation_number,
    )


def _totals(assessed: Assessed) -> dict[str, int]:
    net, tax = assessed.net_minor, assessed.tax_minor
    return {"net_minor": net, "tax_minor": tax, "total_minor": net + tax}
