"""
Payments: what came in, what it pays, what is paid back, and what bounced.

Money that pays no invoice is the customer's credit, and always belongs to one payment: so a bounced payment takes back
exactly what it paid. Rows are only ever added. Whoever moves a customer's money holds the customer's row, so that two
never spend the same credit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from narrows_metering.money import exponent
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.customers.repository import lock_customer
from narrows_server.customers.service import require_customer
from narrows_server.errors import AlreadyExists, Invalid, NotFound
from narrows_server.identity import new_id
from narrows_server.invoices import repository as invoices
from narrows_server.invoices.models import Invoice
from narrows_server.invoices.models import Kind as Document
from narrows_server.invoices.service import require_invoice
from narrows_server.journal.service import post_allocation, post_payment
from narrows_server.parties.service import require_entity
from narrows_server.payments import repository
from narrows_server.payments.models import Allocation, Kind, Payment
from narrows_server.payments.standing import Standing

AMOUNT_MAX = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Money that arrived at the bank."""

    entity_id: str
    customer_id: str
    currency: str
    amount_minor: int
    received_on: date
    reference: str | None = None
    note: str | None = None


def receive(session: Session, receipt: Receipt, *, numbers: Sequence[str] | None = None, occasion: Occasion) -> Payment:
    """
    Record a payment and let it pay the invoices *numbers* in their order, or those that are due first.

    What is left over stays as the customer's credit. Raises `NotFound`, `Invalid`, and `AlreadyExists` for a reference
    of the bank that was recorded before.
    """
    require_entity(session, receipt.entity_id)
    require_customer(session, receipt.customer_id)
    _check(receipt, occasion)
    lock_customer(session, receipt.customer_id)
    if receipt.reference and repository.get_by_reference(session, receipt.entity_id, receipt.reference):
        raise AlreadyExists(f"a payment with the reference {receipt.reference} was recorded already")
    payment = _add(session, Kind.RECEIVED, receipt, occasion=occasion)
    post_payment(session, payment, occasion=occasion)
    if numbers is None:
        chosen = repository.list_open_invoices(
            session, entity_id=receipt.entity_id, customer_id=receipt.customer_id, currency=receipt.currency
        )
    else:
        chosen = [_payable(session, payment, number) for number in numbers]
    for invoice in chosen:
        _apply_at_most(session, payment, invoice, occasion)
    return payment


def apply(
    session: Session, payment_id: str, number: str, *, amount_minor: int | None = None, occasion: Occasion
) -> Payment:
    """Let the rest of a payment, or *amount_minor* of it, pay an invoice. Raises `NotFound`, `Invalid`."""
    payment = require_payment(session, payment_id)
    lock_customer(session, payment.customer_id)
    invoice = _payable(session, payment, number)
    owed, unused = standing_of(session, invoice).receivable_minor, repository.unused_of(session, payment)
    amount = min(owed, unused) if amount_minor is None else amount_minor
    if not 0 < amount <= min(owed, unused):
        raise Invalid(f"{amount} cannot be applied: {unused} of {payment_id} is unused, {owed} of {number} is owed")
    _allocate(session, payment, invoice.id, amount, occasion)
    return payment


def refund(
    session: Session,
    payment_id: str,
    *,
    amount_minor: int | None = None,
    paid_on: date,
    reference: str | None = None,
    occasion: Occasion,
) -> Payment:
    """Pay back what of a payment is for no invoice, or *amount_minor* of that. Raises `NotFound`, `Invalid`."""
    payment = require_payment(session, payment_id)
    lock_customer(session, payment.customer_id)
    unused = repository.unused_of(session, payment)
    amount = unused if amount_minor is None else amount_minor
    if not 0 < amount <= unused:
        raise Invalid(f"{amount} cannot be paid back: {unused} of {payment_id} is unused")
    return _undo(session, Kind.REFUND, payment, amount, paid_on, reference, occasion)


def reverse(
    session: Session, payment_id: str, *, reversed_on: date, note: str | None = None, occasion: Occasion
) -> Payment:
    """
    Take a payment back as a whole, because it bounced or never was: the invoices that it paid are owed again.

    Raises `NotFound`, and `Invalid` if it is not money received, or is gone already.
    """
    payment = require_payment(session, payment_id)
    lock_customer(session, payment.customer_id)
    if payment.kind != Kind.RECEIVED:
        raise Invalid(f"{payment_id} is no money that was received")
    paid = _paid_by(session, payment)
    if repository.unused_of(session, payment) + sum(paid.values()) != payment.amount_minor:
        raise Invalid(f"{payment_id} was reversed already, or paid back in part")
    for invoice_id, amount in paid.items():
        _allocate(session, payment, invoice_id, -amount, occasion)
    return _undo(session, Kind.REVERSAL, payment, payment.amount_minor, reversed_on, None, occasion, note=note)


def add_credit(session: Session, note: Invoice, *, occasion: Occasion) -> Payment | None:
    """Let a credit note that corrects no single invoice be the customer's credit; None for one over nothing."""
    if not note.total_minor:
        return None
    receipt = Receipt(
        entity_id=note.entity_id,
        customer_id=note.customer_id,
        currency=note.currency,
        amount_minor=note.total_minor,
        received_on=occasion.at.date(),
    )
    return _add(session, Kind.CREDIT, receipt, invoice_id=note.id, occasion=occasion)


def release_excess(session: Session, invoice: Invoice, *, occasion: Occasion) -> None:
    """Give back to their payments what was paid of an invoice beyond what is owed, the newest first."""
    excess = -standing_of(session, invoice).receivable_minor
    paid: dict[str, int] = {}
    for allocation in reversed(repository.list_allocations(session, invoice_id=invoice.id)):
        paid[allocation.payment_id] = paid.get(allocation.payment_id, 0) + allocation.amount_minor
    for payment_id, amount in paid.items():
        released = min(amount, excess)
        if released > 0:
            _allocate(session, require_payment(session, payment_id), invoice.id, -released, occasion)
            excess -= released


def standing_of(session: Session, invoice: Invoice) -> Standing:
    """Where one issued invoice stands."""
    return repository.standings(session, [invoice])[invoice.id]


def overdue(session: Session, today: date) -> list[tuple[Invoice, Standing]]:
    """Invoices of which something is owed after its day, the latest first."""
    issued = [one for one in invoices.list_issued(session) if one.kind == Document.INVOICE]
    found = repository.standings(session, issued)
    late = [(one, found[one.id]) for one in issued if found[one.id].days_overdue(today)]
    return sorted(late, key=lambda entry: (entry[1].due_on, entry[0].number or ""))


def require_payment(session: Session, payment_id: str, *, customer_id: str | None = None) -> Payment:
    """The payment with this id. Raises `NotFound`, also if it belongs to another customer."""
    payment = repository.get_payment(session, payment_id)
    if payment is None or customer_id not in (None, payment.customer_id):
        raise NotFound(f"there is no payment {payment_id}")
    return payment


def _payable(session: Session, payment: Payment, number: str) -> Invoice:
    invoice = require_invoice(session, number, customer_id=payment.customer_id)
    if invoice.kind != Document.INVOICE:
        raise Invalid(f"{number} is a credit note and cannot be paid")
    if (invoice.entity_id, invoice.currency) != (payment.entity_id, payment.currency):
        raise Invalid(f"{number} is owed to {invoice.entity_id} in {invoice.currency}, unlike {payment.id}")
    return invoice


def _apply_at_most(session: Session, payment: Payment, invoice: Invoice, occasion: Occasion) -> None:
    amount = min(standing_of(session, invoice).receivable_minor, repository.unused_of(session, payment))
    if amount > 0:
        _allocate(session, payment, invoice.id, amount, occasion)


def _paid_by(session: Session, payment: Payment) -> dict[str, int]:
    """By invoice, what of it this payment pays."""
    paid: dict[str, int] = {}
    for allocation in repository.list_allocations(session, payment_id=payment.id):
        paid[allocation.invoice_id] = paid.get(allocation.invoice_id, 0) + allocation.amount_minor
    return {invoice_id: amount for invoice_id, amount in paid.items() if amount}


def _allocate(session: Session, payment: Payment, invoice_id: str, amount_minor: int, occasion: Occasion) -> None:
    allocation = Allocation(
        payment_id=payment.id, invoice_id=invoice_id, amount_minor=amount_minor, made_at=occasion.at
    )
    session.add(allocation)
    session.flush()
    post_allocation(session, allocation, payment, occasion=occasion)
    audit.write(session, occasion, "payment.applied", payment.id, invoice=invoice_id, minor=amount_minor)


def _undo(
    session: Session,
    kind: Kind,
    payment: Payment,
    amount_minor: int,
    on: date,
    reference: str | None,
    occasion: Occasion,
    *,
    note: str | None = None,
) -> Payment:
    receipt = Receipt(
        entity_id=payment.entity_id,
        customer_id=payment.customer_id,
        currency=payment.currency,
        amount_minor=-amount_minor,
        received_on=on,
        reference=reference,
        note=note,
    )
    undoing = _add(session, kind, receipt, of_id=payment.id, occasion=occasion)
    post_payment(session, undoing, occasion=occasion)
    return undoing


def _add(
    session: Session,
    kind: Kind,
    receipt: Receipt,
    *,
    of_id: str | None = None,
    invoice_id: str | None = None,
    occasion: Occasion,
) -> Payment:
    payment = Payment(
        id=new_id("pay"),
        kind=kind.value,
        entity_id=receipt.entity_id,
        customer_id=receipt.customer_id,
        currency=receipt.currency,
        amount_minor=receipt.amount_minor,
        received_on=receipt.received_on,
        reference=receipt.reference,
        note=receipt.note,
        of_id=of_id,
        invoice_id=invoice_id,
        recorded_at=occasion.at,
    )
    session.add(payment)
    session.flush()
    audit.write(
        session,
        occasion,
        f"payment.{kind.value}",
        payment.id,
        customer=receipt.customer_id,
        minor=receipt.amount_minor,
        currency=receipt.currency,
    )
    return payment


def _check(receipt: Receipt, occasion: Occasion) -> None:
    if not 0 < receipt.amount_minor <= AMOUNT_MAX:
        raise Invalid(f"a payment is more than nothing, not {receipt.amount_minor}")
    if receipt.received_on > occasion.at.date():
        raise Invalid(f"{receipt.received_on} is still to come")
    try:
        exponent(receipt.currency)
    except ValueError as error:
        raise Invalid(str(error)) from error
