"""Invoices and credit notes for those who may read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.invoices import repository
from narrows_server.invoices.pdf import render
from narrows_server.invoices.schemas import InvoiceOut
from narrows_server.invoices.service import require_issued
from narrows_server.paging import Page
from narrows_server.web import OfficeOf, PagingOf, allowed

router = APIRouter(prefix="/v1", tags=["invoices"])

Reads = Annotated[Caller, allowed(Action.INVOICES_READ)]


@router.get("/invoices", summary="Invoices and credit notes, newest first")
def list_invoices(office: OfficeOf, caller: Reads, at: PagingOf) -> Page[InvoiceOut]:
    """A customer sees those that were issued to it, and no drafts."""
    with office.database.snapshot() as session:
        page = repository.invoice_page(session, at, customer_id=caller.customer_id)
        return Page(items=[InvoiceOut.of(invoice) for invoice in page.rows], next_cursor=page.next_cursor)


@router.get(
    "/invoices/{number}/pdf",
    summary="An issued invoice as PDF",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
def get_invoice_pdf(number: str, office: OfficeOf, caller: Reads) -> Response:
    with office.database.snapshot() as session:
        document = require_issued(session, number, customer_id=caller.customer_id)
    headers = {"Content-Disposition": f'inline; filename="{number}.pdf"', "Cache-Control": "private, no-cache"}
    return Response(render(document), media_type="application/pdf", headers=headers)
