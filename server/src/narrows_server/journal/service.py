"""Posting to the journal, in the transaction of what is posted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date

from sqlalchemy import update
from sqlalchemy.orm import Session

from narrows_server.audit import Occasion
from narrows_server.invoices.models import Invoice
from narrows_server.journal import entries
from narrows_server.journal.entries import Account, Event, Posting
from narrows_server.journal.models import JournalEntry, JournalLine, Receivable
from narrows_server.payments.models import Allocation, Kind, Payment

_EVENTS = {
    Kind.RECEIVED: Event.PAYMENT_RECEIVED,
    Kind.REFUND: Event.PAYMENT_REFUNDED,
    Kind.REVERSAL: Event.PAYMENT_REVERSED,
}


def post_invoice(session: Session, invoice: Invoice, *, occasion: Occasion) -> None:
    """Post an invoice that was issued just now."""
    assert invoice.due_on is not None
    session.add(Receivable(invoice_id=invoice.id, due_on=invoice.due_on, owed_minor=0))
    session.flush()
    postings = entries.invoice_issued(json.loads(invoice.document or ""), invoice.id)
    _post_document(session, Event.INVOICE_ISSUED, invoice, postings, occasion)


def post_credit_note(session: Session, note: Invoice, *, occasion: Occasion) -> None:
    """Post a credit note that was issued just now."""
    postings = entries.credit_note_issued(json.loads(note.document or ""), note.credits_id)
    _post_document(session, Event.CREDIT_NOTE_ISSUED, note, postings, occasion)


def post_payment(session: Session, payment: Payment, *, occasion: Occasion) -> None:
    """Post money that came in or went out. The credit of a credit note was posted with the note."""
    _post(
        session,
        _EVENTS[Kind(payment.kind)],
        key=payment.id,
        subject=payment.id,
        account_of=payment,
        posted_on=payment.received_on,
        postings=entries.bank_moved(payment.amount_minor),
        occasion=occasion,
    )


def post_allocation(session: Session, allocation: Allocation, payment: Payment, *, occasion: Occasion) -> None:
    """Post what a payment pays of an invoice, or is taken back from it."""
    event = Event.PAYMENT_APPLIED if allocation.amount_minor > 0 else Event.PAYMENT_RELEASED
    _post(
        session,
        event,
        key=str(allocation.id),
        subject=payment.id,
        account_of=payment,
        posted_on=occasion.at.date(),
        postings=entries.applied(allocation.amount_minor, allocation.invoice_id),
        occasion=occasion,
    )


def _post_document(
    session: Session, event: Event, invoice: Invoice, postings: Sequence[Posting], occasion: Occasion
) -> None:
    assert invoice.number is not None
    _post(
        session,
        event,
        key=invoice.number,
        subject=invoice.number,
        account_of=invoice,
        posted_on=occasion.at.date(),
        postings=postings,
        occasion=occasion,
    )


def _post(
    session: Session,
    event: Event,
    *,
    key: str,
    subject: str,
    account_of: Invoice | Payment,
    posted_on: date,
    postings: Sequence[Posting],
    occasion: Occasion,
) -> None:
    if not postings:  # An invoice over nothing moves no money.
        return
    entry = JournalEntry(
        key=f"{event.value}:{key}",
        entity_id=account_of.entity_id,
        customer_id=account_of.customer_id,
        currency=account_of.currency,
        event=event.value,
        subject=subject,
        posted_on=posted_on,
        recorded_at=occasion.at,
    )
    entry.lines = [
        JournalLine(
            position=position,
            account=posting.account.value,
            debit_minor=max(posting.amount_minor, 0),
            credit_minor=max(-posting.amount_minor, 0),
            tax=posting.tax,
            invoice_id=posting.invoice_id,
        )
        for position, posting in enumerate(postings, start=1)
    ]
    session.add(entry)
    session.flush()
    for posting in postings:
        if posting.account is Account.RECEIVABLE:
            # Added to by the database, and under the customer's lock: two payments at once both count.
            added = Receivable.owed_minor + posting.amount_minor
            session.execute(
                update(Receivable).where(Receivable.invoice_id == posting.invoice_id).values(owed_minor=added)
            )
