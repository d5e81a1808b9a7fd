"""Customers: all of them, one with everything that is theirs, and a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access.roles import Action
from narrows_server.console import savings
from narrows_server.console.gate import Posted
from narrows_server.console.room import Room, entering
from narrows_server.contracts import repository as contracts
from narrows_server.contracts.service import document_on
from narrows_server.customers import repository
from narrows_server.customers.service import add_customer, require_customer
from narrows_server.errors import AlreadyExists, Invalid
from narrows_server.invoices import repository as invoices
from narrows_server.invoices.models import Invoice
from narrows_server.licenses import repository as licenses
from narrows_server.licenses.service import state
from narrows_server.paging import Paging
from narrows_server.parties import service as parties
from narrows_server.parties.party import Party
from narrows_server.payments.account import Scope, statement_of_account
from narrows_server.payments.repository import standings
from narrows_server.statements import repository as statements
from narrows_server.statements import rollup
from narrows_server.statements.life import read_life
from narrows_server.usage import repository as usage

SHOWN = 12

router = APIRouter(prefix="/customers", tags=["customers"])

Reads = Annotated[Room, entering(Action.CUSTOMERS_READ)]
Writes = Annotated[Room, entering(Action.CUSTOMERS_WRITE)]


@router.get("")
def list_all(room: Reads) -> Response:
    with room.office.database.snapshot() as session:
        page = repository.customer_page(session, room.at)
        ids = [one.id for one in page.rows]
        held = contracts.count_by_customer(session, ids)
        found = rollup.by_customer(session, ids) if room.caller.may(Action.STATEMENTS_READ) else {}
        rows = [(one, held.get(one.id, 0), found.get(one.id, rollup.Savings())) for one in page.rows]
        return room.page("customers.html", customers=rows, page=page)


@router.get("/new")
def show_form(room: Writes) -> Response:
    return room.page("customer_new.html", filled={})


@router.post("/new")
def add(room: Writes, form: Posted) -> Response:
    occasion = room.occasion
    try:
        with room.office.database.transaction() as session:
            customer = add_customer(session, _party(form), customer_id=form.get("id") or None, occasion=occasion)
            session.flush()
            profile = {name: form[name].strip() for name in ("country", "postcode", "city", "vat_id") if form.get(name)}
            if profile:
                parties.set_profile(session, customer.id, occasion=occasion, **profile)
    except (Invalid, AlreadyExists) as error:
        return room.page("customer_new.html", status=error.status, problem=error.detail, filled=form)
    return room.to(f"/customers/{customer.id}", "customer")


@router.get("/{customer_id}")
def show(customer_id: str, room: Reads) -> Response:
    now = room.office.clock()
    with room.office.database.snapshot() as session:
        customer = require_customer(session, customer_id)
        may = room.caller.may
        current = statements.list_current(session, customer_id=customer_id, is_sent=False, count=SHOWN)
        current = current if may(Action.STATEMENTS_READ) else []
        steps = statements.steps_by_statement(session, [one.id for one in current])
        months = rollup.by_month(session, customer_id=customer_id) if may(Action.STATEMENTS_READ) else {}
        issued = invoices.list_invoices(session, customer_id=customer_id) if may(Action.INVOICES_READ) else []
        return room.page(
            "customer.html",
            customer=customer,
            buyer=parties.buyer_of(session, customer),
            contracts=[
                (one, document_on(session, one.id, now.date()))
                for one in contracts.list_contracts(session, customer_id=customer_id)
            ],
            months=savings.months_of(months),
            total=savings.total(months.values()),
            statements=[(one, read_life(steps.get(one.id, []), now=now)) for one in current],
            licenses=[(one, state(one, now)) for one in reversed(licenses.list_licenses_of(session, customer_id))],
            installations=usage.overview_page(session, Paging(limit=SHOWN), customer_id=customer_id).rows,
            invoices=issued[:SHOWN],
            standings=standings(session, [one for one in issued if one.document is not None]),
            accounts=accounts_of(session, issued, today=now.date()),
        )


def accounts_of(session: Session, issued: Sequence[Invoice], *, today: date) -> list[dict[str, Any]]:
    """What the customer of these invoices owes, by legal entity and currency."""
    kinds = sorted({(one.customer_id, one.entity_id, one.currency) for one in issued if one.document is not None})
    scopes = [
        Scope(
            customer_id=customer_id,
            entity_id=entity_id,
            currency=currency,
            first_day=date(today.year, 1, 1),
            last_day=today,
        )
        for customer_id, entity_id, currency in kinds
    ]
    return [{"entity_id": scope.entity_id, **statement_of_account(session, scope)} for scope in scopes]


def _party(form: Mapping[str, str]) -> Party:
    lines = tuple(line.strip() for line in form.get("address", "").splitlines() if line.strip())
    return Party(
        name=form.get("name", ""),
        address=lines,
        email=form.get("email", "").strip() or None,
        tax_id=form.get("tax_id", "").strip() or None,
    )
