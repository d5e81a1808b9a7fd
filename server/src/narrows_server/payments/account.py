"""
The statement of account: what one customer owes one of our entities in one currency, and how it came to that.

A document like an invoice's: integers in minor units, every day as text, so that paper, CSV and JSON say the same. It
is computed anew whenever it is asked for, from rows that never change: the same days give the same account.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from narrows_server.customers.service import require_customer
from narrows_server.errors import Invalid
from narrows_server.invoices import repository as invoices
from narrows_server.invoices.models import ISSUED, Invoice
from narrows_server.invoices.models import Kind as Document
from narrows_server.parties.service import buyer_of, require_entity, seller_of
from narrows_server.payments import repository
from narrows_server.payments.models import Kind, Payment

FORMAT = "narrows-account/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose account it is, and of which days."""

    entity_id: str
    customer_id: str
    currency: str
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class _Movement:
    day: date
    kind: str
    reference: str
    minor: int  # Positive where more is owed.


def statement_of_account(session: Session, scope: Scope) -> dict[str, Any]:
    """The account of *scope*, with what was still open of invoices at the end of its last day. Raises `NotFound`."""
    if scope.last_day < scope.first_day:
        raise Invalid(f"an account cannot end on {scope.last_day} and begin on {scope.first_day}")
    entity = require_entity(session, scope.entity_id)
    customer = require_customer(session, scope.customer_id)
    issued = [
        invoice
        for invoice in invoices.list_invoices(session, customer_id=scope.customer_id)
        if invoice.status == ISSUED and (invoice.entity_id, invoice.currency) == (scope.entity_id, scope.currency)
    ]
    payments = [
        payment
        for payment in repository.list_payments(session, customer_id=scope.customer_id)
        if payment.kind != Kind.CREDIT and (payment.entity_id, payment.currency) == (scope.entity_id, scope.currency)
    ]
    movements = sorted(
        [*map(_of_invoice, issued), *map(_of_payment, payments)],
        key=lambda one: (one.day, one.minor < 0, one.kind, one.reference),
    )
    opening = sum(one.minor for one in movements if one.day < scope.first_day)
    balance, lines = opening, []
    for one in movements:
        if scope.first_day <= one.day <= scope.last_day:
            balance += one.minor
            lines.append(
                {
                    "day": one.day.isoformat(),
                    "kind": one.kind,
                    "reference": one.reference,
                    "minor": one.minor,
                    "balance_minor": balance,
                }
            )
    return {
        "format": FORMAT,
        "seller": seller_of(entity).to_dict(),
        "buyer": buyer_of(session, customer).to_dict(),
        "currency": scope.currency,
        "first_day": scope.first_day.isoformat(),
        "last_day": scope.last_day.isoformat(),
        "opening_minor": opening,
        "lines": lines,
        "closing_minor": balance,
        "open_invoices": _open(session, issued, scope.last_day),
    }


def _of_invoice(invoice: Invoice) -> _Movement:
    assert invoice.issued_at is not None
    sign = 1 if invoice.kind == Document.INVOICE else -1
    return _Movement(
        day=invoice.issued_at.date(),
        kind=invoice.kind,
        reference=invoice.number or invoice.id,
        minor=sign * invoice.total_minor,
    )


def _of_payment(payment: Payment) -> _Movement:
    return _Movement(
        day=payment.received_on,
        kind=f"payment_{payment.kind}",
        reference=payment.reference or payment.id,
        minor=-payment.amount_minor,
    )


def _open(session: Session, issued: list[Invoice], on: date) -> list[dict[str, Any]]:
    """What is open now of the invoices issued by a day; how late it is, is told as of that day."""
    due = [one for one in issued if one.kind == Document.INVOICE and one.issued_at and one.issued_at.date() <= on]
    found = repository.standings(session, due)
    return [
        {
            "number": invoice.number,
            "due_on": found[invoice.id].due_on.isoformat(),
            "total_minor": invoice.total_minor,
            "receivable_minor": found[invoice.id].receivable_minor,
            "days_overdue": found[invoice.id].days_overdue(on),
            "reminder": found[invoice.id].reminder(on),
        }
        for invoice in sorted(due, key=lambda one: (found[one.id].due_on, one.number or ""))
        if found[invoice.id].receivable_minor > 0
    ]
