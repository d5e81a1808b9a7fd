"""Invoices and credit notes for those who may read, and crediting for those who may write."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.audit import Occasion
from narrows_server.invoices import cii, credit_notes, repository, ubl
from narrows_server.invoices.models import ISSUED
from narrows_server.invoices.pdf import render
from narrows_server.invoices.schemas import CreditIn, InvoiceOut
from narrows_server.invoices.service import document_of, require_invoice, require_issued
from narrows_server.paging import Page
from narrows_server.payments.repository import standings
from narrows_server.web import Change, OfficeOf, PagingOf, allowed, changing

router = APIRouter(prefix="/v1", tags=["invoices"])

Reads = Annotated[Caller, allowed(Action.INVOICES_READ)]
Writes = Annotated[Change, changing(Action.INVOICES_WRITE)]


@router.get("/invoices", summary="Invoices and credit notes, newest first")
def list_invoices(office: OfficeOf, caller: Reads, at: PagingOf) -> Page[InvoiceOut]:
    """A customer sees those that were issued to it, and no drafts."""
    today = office.clock().date()
    with office.database.snapshot() as session:
        page = repository.invoice_page(session, at, customer_id=caller.customer_id)
        found = standings(session, [row for row in page.rows if row.status == ISSUED])
        items = [InvoiceOut.of(invoice, found.get(invoice.id), today) for invoice in page.rows]
        return Page(items=items, next_cursor=page.next_cursor)


@router.get("/invoices/{number}", summary="One invoice or credit note")
def get_invoice(number: str, office: OfficeOf, caller: Reads) -> InvoiceOut:
    with office.database.snapshot() as session:
        invoice = require_invoice(session, number, customer_id=caller.customer_id)
        return InvoiceOut.of(invoice, standings(session, [invoice])[invoice.id], office.clock().date())


@router.get(
    "/invoices/{number}/document",
    summary="An issued invoice as it is kept and hashed",
    response_class=Response,
    responses={200: {"content": {"application/json": {}}}},
)
def get_invoice_document(number: str, office: OfficeOf, caller: Reads) -> Response:
    """Canonical JSON (RFC 8785): its SHA-256 is the invoice's `content_hash`."""
    with office.database.snapshot() as session:
        invoice = require_invoice(session, number, customer_id=caller.customer_id)
        document_of(invoice)  # Raises if it is not the one that was issued.
        # The very bytes: another spelling of the same document would give another hash.
        return Response(invoice.document, media_type="application/json", headers=_headers(number, "json"))


@router.get(
    "/invoices/{number}/pdf",
    summary="An issued invoice as PDF",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
def get_invoice_pdf(number: str, office: OfficeOf, caller: Reads) -> Response:
    """PDF/A-3b, with the e-invoice inside (Factur-X, profile EN 16931) where there is one."""
    with office.database.snapshot() as session:
        document = require_issued(session, number, customer_id=caller.customer_id)
    return Response(render(document), media_type="application/pdf", headers=_headers(number, "pdf"))


@router.get(
    "/invoices/{number}/cii",
    summary="An issued invoice as CII",
    response_class=Response,
    responses={200: {"content": {"application/xml": {}}}},
)
def get_invoice_cii(number: str, office: OfficeOf, caller: Reads) -> Response:
    """UN/CEFACT Cross Industry Invoice of EN 16931."""
    with office.database.snapshot() as session:
        document = require_issued(session, number, customer_id=caller.customer_id)
    return Response(cii.write(document), media_type="application/xml", headers=_headers(number, "cii.xml"))


@router.get(
    "/invoices/{number}/ubl",
    summary="An issued invoice as UBL",
    response_class=Response,
    responses={200: {"content": {"application/xml": {}}}},
)
def get_invoice_ubl(number: str, office: OfficeOf, caller: Reads) -> Response:
    """UBL 2.1 Invoice or CreditNote of EN 16931."""
    with office.database.snapshot() as session:
        document = require_issued(session, number, customer_id=caller.customer_id)
    return Response(ubl.write(document), media_type="application/xml", headers=_headers(number, "ubl.xml"))


@router.post("/invoices/{number}/credit", status_code=201, response_model=InvoiceOut, summary="Credit an invoice")
def credit_invoice(number: str, order: CreditIn, change: Writes) -> Response:
    """Issues a credit note over parts of the invoice's lines, or over all that is left of it."""

    def credit(session: Session, occasion: Occasion) -> InvoiceOut:
        require_invoice(session, number, customer_id=change.caller.customer_id)
        note = credit_notes.credit(session, number, parts=order.lines, reason=order.reason, occasion=occasion)
        return InvoiceOut.of(note)

    return change.once(credit, status=201)


def _headers(number: str, suffix: str) -> dict[str, str]:
    name = number.replace("/", "-")
    return {"Content-Disposition": f'inline; filename="{name}.{suffix}"', "Cache-Control": "private, no-cache"}
