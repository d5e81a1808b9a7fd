"""Invoices and credit notes: what was issued, what is owed of it, crediting, and payments that came in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access.roles import Action
from narrows_server.console.gate import Posted
from narrows_server.console.room import Room, entering, require_name
from narrows_server.console.typed import major_of, minor_of
from narrows_server.errors import AlreadyExists, Invalid, NotFound
from narrows_server.invoices import credit_notes, repository
from narrows_server.invoices.models import ISSUED, Invoice
from narrows_server.invoices.models import Kind as Document
from narrows_server.invoices.service import TaxUndecided, document_of, issue, preview, require_invoice
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
        is_overdue = room.asked("only") == "overdue"
        if is_overdue:
            page = payments.overdue_page(session, room.at, today, customer_id=room.caller.customer_id)
        else:
            page = repository.invoice_page(session, room.at, customer_id=room.caller.customer_id)
        found = payments.standings(session, [row for row in page.rows if row.status == ISSUED])
        return room.page(
            "invoices.html", invoices=page.rows, standings=found, page=page, today=today, is_overdue=is_overdue
        )


@router.get("/{number}")
def show(number: str, room: Reads) -> Response:
    return _page(room, number)


@router.get("/drafts/{invoice_id}")
def show_draft(invoice_id: str, room: Reads) -> Response:
    return _draft_page(room, invoice_id)


@router.post("/drafts/{invoice_id}/issue")
def issue_draft(invoice_id: str, room: Writes, form: Posted) -> Response:
    """Numbered, dated and sealed, with the parties and the tax of today."""
    try:
        with room.office.database.transaction() as session:
            issued = issue(session, _require_draft(session, room, invoice_id), occasion=room.occasion)
    except (Invalid, TaxUndecided) as error:
        return _draft_page(room, invoice_id, problem=error.detail, status=error.status)
    return room.to(f"/invoices/{issued.number}", "invoice-issued")


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
                amount_minor=minor_of(form.get("amount", ""), invoice.currency),
                received_on=_day(form.get("received_on", "")),
                reference=form.get("reference", "").strip()[:100] or None,
            )
            service.receive(session, receipt, numbers=[number], occasion=room.occasion)
    except (Invalid, AlreadyExists) as error:
        return _page(room, number, problem=error.detail, status=error.status)
    return room.to(f"/invoices/{number}", "paid")


def _draft_page(room: Room, invoice_id: str, *, problem: str | None = None, status: int = 200) -> Response:
    """What the draft would become today, or why it cannot be issued."""
    # Nothing is kept: a check of a VAT id that the preview makes is made again when the invoice is issued.
    with room.office.database.snapshot() as session:
        draft = _require_draft(session, room, invoice_id)
        try:
            document = preview(session, draft, occasion=room.occasion)
        except TaxUndecided as error:
            document, problem = None, problem or error.detail
        return room.page("draft.html", status=status, problem=problem, draft=draft, document=document)


def _require_draft(session: Session, room: Room, invoice_id: str) -> Invoice:
    """The draft with this id; for a customer there is none. Raises `NotFound`."""
    draft = session.get(Invoice, invoice_id)
    if draft is None or draft.status == ISSUED or room.caller.customer_id is not None:
        raise NotFound(f"there is no draft {invoice_id}")
    return draft


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
            owed=major_of(standing.receivable_minor, invoice.currency) if standing else "",
            today=today,
        )


def _parts(form: Mapping[str, str], currency: str) -> dict[int, int] | None:
    """By line what is to be credited of it; None, which is all that is left, where nothing is filled in."""
    chosen = {
        int(name.removeprefix("line-")): minor_of(text, currency, signed=True)
        for name, text in form.items()
        if name.startswith("line-") and name.removeprefix("line-").isdecimal() and text.strip()
    }
    return chosen or None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid("say on which day, such as 2027-01-31") from error
