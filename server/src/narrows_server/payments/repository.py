"""Every query about payments and what they pay."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from narrows_server.invoices.models import ISSUED, Invoice
from narrows_server.invoices.models import Kind as Document
from narrows_server.invoices.repository import WITHOUT_DOCUMENT
from narrows_server.journal.models import Receivable
from narrows_server.paging import Paged, Paging, read_page
from narrows_server.payments.models import Allocation, Payment
from narrows_server.payments.standing import Standing

NAMED_MAX = 500  # Beyond this many, all of them are added up: a query's list has its limits.


def get_payment(session: Session, payment_id: str) -> Payment | None:
    return session.get(Payment, payment_id)


def get_by_reference(session: Session, entity_id: str, reference: str) -> Payment | None:
    query = select(Payment).where(Payment.entity_id == entity_id, Payment.reference == reference)
    return session.scalars(query).first()


def list_payments(session: Session, *, customer_id: str | None = None) -> list[Payment]:
    """Every movement of money, in the order of the bank's days."""
    query = select(Payment).order_by(Payment.received_on, Payment.recorded_at, Payment.id)
    return list(session.scalars(query if customer_id is None else query.where(Payment.customer_id == customer_id)))


def payment_page(session: Session, at: Paging, *, customer_id: str | None = None) -> Paged[Payment]:
    """A page of payments, those recorded last first."""
    query = select(Payment)
    if customer_id is not None:
        query = query.where(Payment.customer_id == customer_id)
    return read_page(session, query, by=(Payment.recorded_at, Payment.id), at=at)


def list_allocations(
    session: Session, *, payment_id: str | None = None, invoice_id: str | None = None
) -> list[Allocation]:
    """What one payment pays, or what pays one invoice, in the order in which it was decided."""
    query = select(Allocation).order_by(Allocation.id)
    if payment_id is not None:
        query = query.where(Allocation.payment_id == payment_id)
    if invoice_id is not None:
        query = query.where(Allocation.invoice_id == invoice_id)
    return list(session.scalars(query))


def unused_of(session: Session, payment: Payment) -> int:
    """What of a payment is for no invoice, and not paid back or reversed; minor units."""
    allocated = session.scalar(
        select(func.coalesce(func.sum(Allocation.amount_minor), 0)).where(Allocation.payment_id == payment.id)
    )
    undone = session.scalar(select(func.coalesce(func.sum(Payment.amount_minor), 0)).where(Payment.of_id == payment.id))
    return payment.amount_minor + int(undone or 0) - int(allocated or 0)


def list_open_invoices(session: Session, *, entity_id: str, customer_id: str, currency: str) -> list[Invoice]:
    """A customer's invoices that are not settled, the one that is due first first."""
    query = select(Invoice).where(
        Invoice.status == ISSUED,
        Invoice.kind == Document.INVOICE.value,
        Invoice.entity_id == entity_id,
        Invoice.customer_id == customer_id,
        Invoice.currency == currency,
    )
    invoices = list(session.scalars(query.order_by(Invoice.due_on, Invoice.number)))
    found = standings(session, invoices)
    return [invoice for invoice in invoices if found[invoice.id].receivable_minor > 0]


def _overdue(today: date) -> ColumnElement[bool]:
    """Of a receivable: something is owed after its day. As `Standing` has it."""
    return and_(Receivable.owed_minor > 0, Receivable.due_on < today)


def overdue_page(session: Session, at: Paging, today: date, *, customer_id: str | None = None) -> Paged[Invoice]:
    """A page of the invoices that are overdue, the oldest first: of all, or of one customer."""
    query = select(Invoice).join(Receivable, Receivable.invoice_id == Invoice.id).where(_overdue(today))
    if customer_id is not None:
        query = query.where(Invoice.customer_id == customer_id)
    query = query.options(*WITHOUT_DOCUMENT)
    return read_page(session, query, by=(Invoice.drafted_at, Invoice.id), at=at, is_ascending=True)


def count_overdue(session: Session, today: date) -> tuple[int, date | None]:
    """How many invoices are overdue, and the earliest day on which one of them was due."""
    query = select(func.count(), func.min(Receivable.due_on)).where(_overdue(today))
    count, earliest = session.execute(query).one()
    return count, earliest


def standings(session: Session, invoices: Iterable[Invoice]) -> dict[str, Standing]:
    """By id, where each of these issued invoices stands."""
    chosen = {invoice.id: invoice for invoice in invoices}
    notes = select(Invoice.credits_id, func.sum(Invoice.total_minor)).where(Invoice.status == ISSUED)
    pays = select(Allocation.invoice_id, func.sum(Allocation.amount_minor))
    if len(chosen) <= NAMED_MAX:
        notes = notes.where(Invoice.credits_id.in_(chosen))
        pays = pays.where(Allocation.invoice_id.in_(chosen))
    credited = {key: int(total) for key, total in session.execute(notes.group_by(Invoice.credits_id))}
    paid = {key: int(total) for key, total in session.execute(pays.group_by(Allocation.invoice_id))}
    return {
        invoice_id: Standing(
            total_minor=invoice.total_minor,
            credited_minor=credited.get(invoice_id, 0),
            paid_minor=paid.get(invoice_id, 0),
            # Invoices from before there were due dates in the table are due at once.
            due_on=invoice.due_on or invoice.drafted_at.date(),
        )
        for invoice_id, invoice in chosen.items()
    }
