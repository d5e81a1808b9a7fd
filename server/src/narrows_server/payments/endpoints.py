"""Payments and statements of account: finance records and reads, a customer reads its own account."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.audit import Occasion
from narrows_server.moments import Day
from narrows_server.paging import Page
from narrows_server.parties.service import default_entity
from narrows_server.payments import account_pdf, repository, service
from narrows_server.payments.account import Scope, statement_of_account
from narrows_server.payments.schemas import ApplyIn, PaymentIn, PaymentOut, RefundIn, ReversalIn
from narrows_server.payments.service import Receipt
from narrows_server.web import Change, OfficeOf, PagingOf, allowed, changing

router = APIRouter(prefix="/v1", tags=["payments"])

Books = Annotated[Caller, allowed(Action.BOOKS_READ)]
BooksWrites = Annotated[Change, changing(Action.BOOKS_WRITE)]
Invoices = Annotated[Caller, allowed(Action.INVOICES_READ)]
First = Annotated[Day | None, Query(alias="from", description="The first day; that of this year if left out.")]
Last = Annotated[Day | None, Query(alias="to", description="The last day; today if left out.")]
Currency = Annotated[str, Query(min_length=3, max_length=3, description="ISO 4217.")]
EntityId = Annotated[str | None, Query(max_length=64, description="Who is owed; the first legal entity if left out.")]


@router.get("/payments", summary="Payments, refunds and reversals, newest first")
def list_payments(office: OfficeOf, caller: Books, at: PagingOf) -> Page[PaymentOut]:
    with office.database.snapshot() as session:
        page = repository.payment_page(session, at, customer_id=caller.customer_id)
        items = [PaymentOut.of_row(one, repository.unused_of(session, one)) for one in page.rows]
        return Page(items=items, next_cursor=page.next_cursor)


@router.post("/payments", status_code=201, response_model=PaymentOut, summary="Record a payment")
def record_payment(order: PaymentIn, change: BooksWrites) -> Response:
    """It pays the invoices that are named, or those that are due first; what is left over stays as credit."""

    def record(session: Session, occasion: Occasion) -> PaymentOut:
        change.caller.require_own(order.customer_id, f"customer {order.customer_id}")
        receipt = Receipt(
            entity_id=order.entity_id or default_entity(session).id,
            customer_id=order.customer_id,
            currency=order.amount.currency,
            amount_minor=order.amount.minor,
            received_on=order.received_on,
            reference=order.reference,
            note=order.note,
        )
        payment = service.receive(session, receipt, numbers=order.invoices, occasion=occasion)
        return PaymentOut.of_row(payment, repository.unused_of(session, payment))

    return change.once(record, status=201)


@router.post("/payments/{payment_id}/reverse", response_model=PaymentOut, summary="Take a payment back")
def reverse_payment(payment_id: str, order: ReversalIn, change: BooksWrites) -> Response:
    """As a whole, because it bounced or never was: what it paid is owed again."""

    def reverse(session: Session, occasion: Occasion) -> PaymentOut:
        service.require_payment(session, payment_id, customer_id=change.caller.customer_id)
        undone = service.reverse(session, payment_id, reversed_on=order.reversed_on, note=order.note, occasion=occasion)
        return PaymentOut.of_row(undone, 0)

    return change.once(reverse)


@router.post("/payments/{payment_id}/apply", response_model=PaymentOut, summary="Let credit pay an invoice")
def apply_payment(payment_id: str, order: ApplyIn, change: BooksWrites) -> Response:
    """What is for no invoice yet, or a part of it."""

    def apply(session: Session, occasion: Occasion) -> PaymentOut:
        service.require_payment(session, payment_id, customer_id=change.caller.customer_id)
        payment = service.apply(session, payment_id, order.invoice, amount_minor=order.amount_minor, occasion=occasion)
        return PaymentOut.of_row(payment, repository.unused_of(session, payment))

    return change.once(apply)


@router.post("/payments/{payment_id}/refund", response_model=PaymentOut, summary="Record that credit was paid back")
def refund_payment(payment_id: str, order: RefundIn, change: BooksWrites) -> Response:
    """What is for no invoice, or a part of it."""

    def refund(session: Session, occasion: Occasion) -> PaymentOut:
        service.require_payment(session, payment_id, customer_id=change.caller.customer_id)
        back = service.refund(
            session,
            payment_id,
            amount_minor=order.amount_minor,
            paid_on=order.paid_on,
            reference=order.reference,
            occasion=occasion,
        )
        return PaymentOut.of_row(back, 0)

    return change.once(refund)


@router.get("/customers/{customer_id}/account", summary="A customer's statement of account")
def get_account(
    customer_id: str,
    office: OfficeOf,
    caller: Invoices,
    first_day: First = None,
    last_day: Last = None,
    currency: Currency = "EUR",
    entity_id: EntityId = None,
) -> dict[str, Any]:
    """What was owed before, invoiced, credited and paid in these days, and what is open."""
    return _account(office, caller, customer_id, first_day, last_day, currency, entity_id)


@router.get(
    "/customers/{customer_id}/account/pdf",
    summary="A customer's statement of account as PDF",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
def get_account_pdf(
    customer_id: str,
    office: OfficeOf,
    caller: Invoices,
    first_day: First = None,
    last_day: Last = None,
    currency: Currency = "EUR",
    entity_id: EntityId = None,
) -> Response:
    account = _account(office, caller, customer_id, first_day, last_day, currency, entity_id)
    headers = {"Content-Disposition": 'inline; filename="account.pdf"', "Cache-Control": "private, no-cache"}
    return Response(account_pdf.render(account), media_type="application/pdf", headers=headers)


def _account(
    office: OfficeOf,
    caller: Caller,
    customer_id: str,
    first_day: date | None,
    last_day: date | None,
    currency: str,
    entity_id: str | None,
) -> dict[str, Any]:
    caller.require_own(customer_id, f"customer {customer_id}")
    today = office.clock().date()
    with office.database.snapshot() as session:
        scope = Scope(
            entity_id=entity_id or default_entity(session).id,
            customer_id=customer_id,
            currency=currency,
            first_day=first_day or date(today.year, 1, 1),
            last_day=last_day or today,
        )
        return statement_of_account(session, scope)
