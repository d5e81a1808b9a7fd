"""Exports for the vendor's own finance, and a customer's own FOCUS rows and audit packs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.customers.service import require_customer
from narrows_server.exports import audit_pack, datev, focus, tables
from narrows_server.exports.tables import Table
from narrows_server.invoices.service import require_invoice
from narrows_server.moments import Day
from narrows_server.parties.service import default_entity
from narrows_server.web import OfficeOf, allowed

router = APIRouter(prefix="/v1", tags=["exports"])

Books = Annotated[Caller, allowed(Action.BOOKS_READ)]
Invoices = Annotated[Caller, allowed(Action.INVOICES_READ)]
First = Annotated[Day | None, Query(alias="from", description="The first day.")]
Last = Annotated[Day | None, Query(alias="to", description="The last day.")]
EntityId = Annotated[str | None, Query(max_length=64, description="Of this legal entity.")]
CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}}}}


@router.get("/exports/focus", summary="All invoices as FOCUS 1.2 rows", response_class=Response, responses=CSV)
def get_focus(office: OfficeOf, caller: Books, first_day: First = None, last_day: Last = None) -> Response:
    with office.database.snapshot() as session:
        text = focus.write(session, customer_id=caller.customer_id, first_day=first_day, last_day=last_day)
    return _file(text.encode(), "focus.csv", "text/csv; charset=utf-8")


@router.get(
    "/customers/{customer_id}/focus",
    summary="A customer's invoices as FOCUS 1.2 rows",
    response_class=Response,
    responses=CSV,
)
def get_customer_focus(
    customer_id: str, office: OfficeOf, caller: Invoices, first_day: First = None, last_day: Last = None
) -> Response:
    """Cost and usage, for FinOps tools."""
    caller.require_own(customer_id, f"customer {customer_id}")
    with office.database.snapshot() as session:
        require_customer(session, customer_id)
        text = focus.write(session, customer_id=customer_id, first_day=first_day, last_day=last_day)
    return _file(text.encode(), "focus.csv", "text/csv; charset=utf-8")


@router.get(
    "/exports/datev",
    summary="A DATEV Buchungsstapel",
    response_class=Response,
    responses={**CSV, 404: {}},
)
def get_datev(
    office: OfficeOf,
    caller: Books,
    first_day: Annotated[Day, Query(alias="from", description="The first day.")],
    last_day: Annotated[Day, Query(alias="to", description="The last day, of the same year.")],
    adviser: Annotated[int, Query(description="Beraternummer.")],
    client: Annotated[int, Query(description="Mandantennummer.")],
    chart: datev.Chart = datev.Chart.SKR03,
    entity_id: EntityId = None,
) -> Response:
    caller.require_own(None, "such export")
    with office.database.snapshot() as session:
        batch = datev.Batch(
            entity_id=entity_id or default_entity(session).id,
            adviser=adviser,
            client=client,
            chart=chart,
            first_day=first_day,
            last_day=last_day,
        )
        content = datev.write(session, batch, at=office.clock())
    return _file(content, "EXTF_Buchungsstapel.csv", f"text/csv; charset={datev.ENCODING}")


@router.get("/exports/csv", summary="A table as CSV", response_class=Response, responses={**CSV, 404: {}})
def get_table(
    table: Table,
    office: OfficeOf,
    caller: Books,
    first_day: First = None,
    last_day: Last = None,
    entity_id: EntityId = None,
) -> Response:
    caller.require_own(None, "such export")
    today = office.clock().date()
    with office.database.snapshot() as session:
        text = tables.write(table, session, entity_id=entity_id, first_day=first_day, last_day=last_day, today=today)
    return _file(text.encode(), f"{table.value}.csv", "text/csv; charset=utf-8")


@router.get(
    "/invoices/{number}/audit-pack",
    summary="Everything behind one invoice",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}}},
)
def get_audit_pack(number: str, office: OfficeOf, caller: Invoices) -> Response:
    """A zip with contract, evidence, statement, invoice, journal and proofs, to be checked without a network."""
    with office.database.snapshot() as session:
        require_invoice(session, number, customer_id=caller.customer_id)
        content = audit_pack.write(session, number, keyring=office.keyring, at=office.clock())
    return _file(content, f"audit-{number.replace('/', '-')}.zip", "application/zip")


def _file(content: bytes, name: str, media_type: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-cache"}
    return Response(content, media_type=media_type, headers=headers)
