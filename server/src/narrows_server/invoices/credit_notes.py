"""
Issuing credit notes: the only way in which an invoice is ever corrected.

One transaction numbers the note, posts it, and gives back to the customer's credit what had been paid of the part that
is not owed any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from narrows_server.audit import Occasion
from narrows_server.customers.repository import lock_customer
from narrows_server.errors import Invalid
from narrows_server.identity import new_id
from narrows_server.invoices import repository
from narrows_server.invoices.crediting import Credited, credit_lines, remaining
from narrows_server.invoices.document import Assessed, Numbered, write_document, write_lines
from narrows_server.invoices.models import DRAFT, Invoice, Kind
from narrows_server.invoices.numbering import take_number
from narrows_server.invoices.order import InvoiceOrder
from narrows_server.invoices.service import assess_order, check_order, document_of, require_invoice, seal
from narrows_server.journal.service import post_credit_note
from narrows_server.parties.service import require_entity
from narrows_server.payments.service import add_credit, release_excess
from narrows_server.tax.breakdown import Subtotal

REASON_CHARACTERS_MAX = 500


def credit(
    session: Session, number: str, *, parts: Mapping[int, int] | None = None, reason: str, occasion: Occasion
) -> Invoice:
    """
    Issue a credit note over *parts* of the invoice *number*, net and in minor units by line, or over all that is left.

    Parties and tax are the invoice's own. Raises `NotFound`, and `Invalid` for more than there is to credit.
    """
    _check_reason(reason)
    invoice = require_invoice(session, number)
    if invoice.kind != Kind.INVOICE:
        raise Invalid(f"{number} is a credit note; credit the invoice that it belongs to")
    lock_customer(session, invoice.customer_id)
    document = document_of(invoice)
    notes = [document_of(note) for note in repository.list_credit_notes(session, invoice.id)]
    credited = credit_lines(document, notes, parts)
    note = _row(invoice.entity_id, invoice.customer_id, invoice.currency, credited, occasion)
    note.credits_id = invoice.id
    note.customer = invoice.customer
    session.add(note)
    issued_on = occasion.at.date()
    taken = take_number(session, require_entity(session, invoice.entity_id), Kind.CREDIT_NOTE, issued_on)
    seal(session, note, _document(document, taken, issued_on, credited, reason), occasion=occasion)
    post_credit_note(session, note, occasion=occasion)
    release_excess(session, invoice, occasion=occasion)
    return note


def credit_surplus(session: Session, order: InvoiceOrder, *, reason: str, occasion: Occasion) -> Invoice:
    """
    Issue a credit note over an order whose lines come to less than nothing, as corrections of old months may.

    It corrects no single invoice, so it becomes the customer's credit and pays later ones. Raises `Invalid`, `NotFound`
    and `TaxUndecided` as `draft` does.
    """
    _check_reason(reason)
    check_order(order)
    parties, owed = assess_order(session, order, occasion)
    if owed.total_minor >= 0:
        raise Invalid("the lines come to no less than nothing: write an invoice")
    customer = lock_customer(session, order.customer_id)
    credited = _turned(order, owed)
    note = _row(order.entity_id, order.customer_id, order.currency, credited, occasion)
    note.statement_id = order.statement.id if order.statement else None
    note.order_text = order.to_text()
    note.customer = customer
    session.add(note)
    issued_on = occasion.at.date()
    taken = take_number(session, require_entity(session, order.entity_id), Kind.CREDIT_NOTE, issued_on)
    numbered = Numbered(number=taken, issued_on=issued_on, due_on=issued_on)
    base = write_document(numbered, order, parties, owed)
    seal(session, note, _document(base, taken, issued_on, credited, reason, of_invoice=False), occasion=occasion)
    post_credit_note(session, note, occasion=occasion)
    add_credit(session, note, occasion=occasion)
    return note


def is_surplus(session: Session, order: InvoiceOrder, *, occasion: Occasion) -> bool:
    """Whether an order comes to less than nothing with its tax, so that it makes a credit note. Raises as `draft`."""
    return assess_order(session, order, occasion)[1].total_minor < 0


def creditable(session: Session, number: str) -> dict[int, int]:
    """By line, what may still be credited of an invoice; net, minor units. Raises `NotFound`."""
    invoice = require_invoice(session, number)
    notes = [document_of(note) for note in repository.list_credit_notes(session, invoice.id)]
    return remaining(document_of(invoice), notes)


def _turned(order: InvoiceOrder, owed: Assessed) -> Credited:
    """The lines of *order* with their signs turned: what we owe."""
    base = write_lines(order.lines, owed.treatments)
    lines = tuple({**line, "of_line": None, "net_minor": -line["net_minor"]} for line in base)
    subtotals = tuple(
        Subtotal(treatment=one.treatment, base_minor=-one.base_minor, tax_minor=-one.tax_minor)
        for one in owed.subtotals
    )
    return Credited(lines=lines, subtotals=subtotals)


def _document(
    base: Mapping[str, Any],
    number: str,
    issued_on: date,
    credited: Credited,
    reason: str,
    *,
    of_invoice: bool = True,
) -> dict[str, Any]:
    """The document of a credit note: the invoice's own parties and period, with what is taken back."""
    return {
        **base,
        "kind": Kind.CREDIT_NOTE.value,
        "number": number,
        "issued_on": issued_on.isoformat(),
        "due_on": None,
        "credits": {
            "number": base["number"] if of_invoice else None,
            "issued_on": base["issued_on"] if of_invoice else None,
            "reason": reason,
        },
        "volumes": [],
        "lines": list(credited.lines),
        "taxes": [subtotal.to_dict() for subtotal in credited.subtotals],
        "net_minor": credited.net_minor,
        "tax_minor": credited.tax_minor,
        "total_minor": credited.total_minor,
        "reason": None,
    }


def _row(entity_id: str, customer_id: str, currency: str, credited: Credited, occasion: Occasion) -> Invoice:
    return Invoice(
        id=new_id("crn"),
        kind=Kind.CREDIT_NOTE.value,
        status=DRAFT,
        number=None,
        entity_id=entity_id,
        customer_id=customer_id,
        statement_id=None,
        credits_id=None,
        currency=currency,
        net_minor=credited.net_minor,
        tax_minor=credited.tax_minor,
        total_minor=credited.total_minor,
        drafted_at=occasion.at,
        issued_at=None,
        due_on=None,
        order_text="{}",
        document=None,
        content_hash=None,
    )


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_CHARACTERS_MAX or not reason.isprintable():
        raise Invalid(f"a credit note says why, in at most {REASON_CHARACTERS_MAX} printable characters")
