"""A customer as the addressee of invoices: what decides about tax, language and delivery. And spend limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response

from narrows_server.access.roles import Action
from narrows_server.alerts.limits import set_limit
from narrows_server.console.gate import Posted
from narrows_server.console.room import Room, entering
from narrows_server.console.typed import minor_of
from narrows_server.contracts.service import document_on, require_contract
from narrows_server.customers.service import require_customer
from narrows_server.errors import Invalid
from narrows_server.parties import repository, service

MEMBERS = ("country", "postcode", "city", "vat_id", "language", "reference", "purchase_order", "electronic_address")

router = APIRouter(tags=["billing"])

Reads = Annotated[Room, entering(Action.CUSTOMERS_READ)]
Writes = Annotated[Room, entering(Action.CUSTOMERS_WRITE)]
Terms = Annotated[Room, entering(Action.CONTRACTS_WRITE)]
Own = Annotated[Room, entering(Action.STATEMENTS_ANSWER)]


@router.get("/customers/{customer_id}/billing")
def show(customer_id: str, room: Reads) -> Response:
    return _page(room, customer_id)


@router.post("/customers/{customer_id}/billing")
def change(customer_id: str, room: Writes, form: Posted) -> Response:
    """What is left empty is taken away. Invoices that were issued keep what it was."""
    changes = {name: form.get(name, "").strip() or None for name in MEMBERS if name in form}
    if "language" in changes and changes["language"] is None:
        del changes["language"]
    try:
        with room.office.database.transaction() as session:
            require_customer(session, customer_id)
            service.set_profile(session, customer_id, occasion=room.occasion, **changes)
    except Invalid as error:
        return _page(room, customer_id, filled=form, problem=error.detail, status=error.status)
    return room.to(f"/customers/{customer_id}/billing", "billing")


@router.post("/contracts/{contract_id}/spend-limit")
def set_limit_of_contract(contract_id: str, room: Terms, form: Posted) -> Response:
    _set_limit(room, contract_id, form)
    return room.to(f"/contracts/{contract_id}", "limit")


@router.post("/spend-limits/{contract_id}")
def set_own_limit(contract_id: str, room: Own, form: Posted) -> Response:
    _set_limit(room, contract_id, form)
    return room.to("/", "limit")


def _set_limit(room: Room, contract_id: str, form: Mapping[str, str]) -> None:
    text = form.get("amount", "").strip()
    with room.office.database.transaction() as session:
        contract = require_contract(session, contract_id)
        room.caller.require_own(contract.customer_id, f"contract {contract_id}")
        currency = document_on(session, contract_id, room.office.clock().date()).currency
        set_limit(session, contract, minor_of(text, currency) if text else None, occasion=room.occasion)


def _page(
    room: Room,
    customer_id: str,
    *,
    filled: Mapping[str, str] | None = None,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    with room.office.database.snapshot() as session:
        customer = require_customer(session, customer_id)
        buyer = service.buyer_of(session, customer)
        return room.page(
            "billing.html",
            status=status,
            problem=problem,
            customer=customer,
            buyer=buyer,
            filled={name: getattr(buyer, name) or "" for name in MEMBERS} if filled is None else filled,
            languages=service.LANGUAGES,
            checks=repository.list_checks(session, customer_id),
        )
