"""Invoices for those who may read."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from narrows_server.invoices import repository
from narrows_server.invoices.pdf import render
from narrows_server.invoices.schemas import InvoiceOut, InvoicesOut
from narrows_server.invoices.service import require_issued
from narrows_server.web import OfficeOf, Reader

router = APIRouter(prefix="/v1", tags=["invoices"], dependencies=[Reader])


@router.get("/invoices", summary="Invoices, newest number first")
def get_invoices(office: OfficeOf) -> InvoicesOut:
    with office.database.snapshot() as session:
        return InvoicesOut(items=[InvoiceOut.of(invoice) for invoice in repository.list_invoices(session)])


@router.get("/invoices/{number}/pdf", summary="An issued invoice as PDF", response_class=Response)
def get_invoice_pdf(number: str, office: OfficeOf) -> Response:
    with office.database.snapshot() as session:
        document = require_issued(session, number)
    headers = {"Content-Disposition": f'inline; filename="{number}.pdf"', "Cache-Control": "private, no-cache"}
    return Response(render(document), media_type="application/pdf", headers=headers)
