"""Invoices and credit notes: what was issued, what is owed of it, crediting, and payments that came in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from narrows_metering.money import exponent

from narrows_server.access.roles import Action
from narrows_server.console.gate import Posted
from narrows_server.console.room import Room, entering, require_name
from narrows_server.errors import AlreadyExists, Invalid
from narrows_server.invoices import credit_notes, repository
from narrows_server.invoices.models import ISSUED
from narrows_server.invoices.models import Kind as Document
from narrows_server.invoices.service import document_of, require_invoice
from narrows_server.payments import repository as payments
from narrows_server.payments import service
from narrows_server.payments.service import Receipt

router = APIRouter(prefix="/invoices", tags=["invoices"])

Reads = Annotated[Room, entering(Action.INVOICES_READ)]
Writes = Annotated[Room, entering(Action.INVOICES_WRITE)]
Books = Annotated[Room, entering(Action.BOOKS_WRITE)]


@router.get("")
def list_invoices(room: Reads) -> Response:
    today = room.office.clock().date()
    with room.office.database.snapshot() as session:
        if room.asked("only") == "overdue":
            late = [one for one, _ in service.overdue(session, today) if room.caller.owns(one.customer_id)]
            page, rows = None, late
        else:
            page = repository.invoice_page(session, room.at, customer_id=room.caller.customer_id)
            rows = page.rows
        found = payments.standings(session, [row for row in rows if row.status == ISSUED])
        return room.page("invoices.html", invoices=rows, standings=found, page=page, today=today)


@router.get("/{number}")
def show(number: str, room: Reads) -> Response:
    return _page(room, number)


@router.post("/{number}/credit")
def credit(number: str, room: Writes, form: Posted) -> Response:
    """A credit note over all that is left, or over the amounts that were filled in for its lines."""
    try:
        require_name(form, number)
        with room.office.database.transaction() as session:
            invoice = require_invoice(session, number, customer_id=room.caller.customer_id)
            note = credit_notes.credit(
                session,
                number,
                parts=_parts(form, invoice.currency),
                reason=form.get("reason", "").strip(),
                occasion=room.occasion,
            )
    except Invalid as error:
        return _page(room, number, problem=error.detail, status=error.status)
    return room.to(f"/invoices/{note.number}", "credited")


@router.post("/{number}/payment")
def record_payment(number: str, room: Books, form: Posted) -> Response:
    try:
        with room.office.database.transaction() as session:
            invoice = require_invoice(session, number, customer_id=room.caller.customer_id)
            receipt = Receipt(
                entity_id=invoice.entity_id,
                customer_id=invoice.customer_id,
                currency=invoice.currency,
                amount_minor=_minor(form.get("amount", ""), invoice.currency),
                received_on=_day(form.get("received_on", "")),
                reference=form.get("reference", "").strip()[:100] or None,
            )
            service.receive(session, receipt, numbers=[number], occasion=room.occasion)
    except (Invalid, AlreadyExists) as error:
        return _page(room, number, problem=error.detail, status=error.status)
    return room.to(f"/invoices/{number}", "paid")


def _page(room: Room, number: str, *, problem: str | None = None, status: int = 200) -> Response:
    today = room.office.clock().date()
    with room.office.database.snapshot() as session:
        invoice = require_invoice(session, number, customer_id=room.caller.customer_id)
        is_invoice = invoice.kind == Document.INVOICE
        standing = service.standing_of(session, invoice) if is_invoice else None
        return room.page(
            "invoice.html",
            status=status,
            problem=problem,
            invoice=invoice,
            document=document_of(invoice),
            standing=standing,
            standing_word=standing.status(today).value if standing else "issued",
            days_overdue=standing.days_overdue(today) if standing else 0,
            notes=repository.list_credit_notes(session, invoice.id) if is_invoice else [],
            creditable=credit_notes.creditable(session, number) if is_invoice else {},
            owed=_major(standing.receivable_minor, invoice.currency) if standing else "",
            today=today,
        )


def _parts(form: Mapping[str, str], currency: str) -> dict[int, int] | None:
    """By line what is to be credited of it; None, which is all that is left, where nothing is filled in."""
    chosen = {
        int(name.removeprefix("line-")): _minor(text, currency, signed=True)
        for name, text in form.items()
        if name.startswith("line-") and name.removeprefix("line-").isdecimal() and text.strip()
    }
    return chosen or None


def _minor(text: str, currency: str, *, signed: bool = False) -> int:
    """An amount as people write it, in minor units. Raises `Invalid`."""
    cleaned = text.strip().replace(" ", "").replace("\u2212", "-")
    try:
        amount = Decimal(cleaned).scaleb(exponent(currency))
        if not amount.is_finite() or amount != amount.to_integral_value() or abs(amount) >= 2**53:
            raise Invalid(f"{text[:40]!r} is not an amount in {currency}")
    except InvalidOperation as error:
        raise Invalid(f"{text[:40]!r} is not an amount; write it as 1234.56") from error
    if amount < 0 and not signed:
        raise Invalid("an amount is more than nothing")
    return int(amount)


def _major(minor: int, currency: str) -> str:
    return format(Decimal(minor).scaleb(-exponent(currency)), "f")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid("say on which day, such as 2027-01-31") from error
