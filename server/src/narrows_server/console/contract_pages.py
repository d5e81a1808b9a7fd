"""Contracts and tariffs: what is in force, every version, and new ones from their documents."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from narrows_metering.share import Exchange
from narrows_metering.terms import Period
from narrows_metering.valuation import Mode

from narrows_server.access.roles import Action
from narrows_server.alerts.limits import limits_of
from narrows_server.console.gate import Posted
from narrows_server.console.room import Room, entering
from narrows_server.console.typed import decimal_of, major_of
from narrows_server.contracts import repository, service, terms
from narrows_server.contracts.contract_document import ContractDocument, changed_members, json_schema
from narrows_server.contracts.reading import Document, check_document
from narrows_server.contracts.tariff_document import TariffDocument
from narrows_server.errors import AlreadyExists, Invalid, NotFound
from narrows_server.statements import repository as statements
from narrows_server.statements.service import first_open_day

router = APIRouter(tags=["contracts"])

Reads = Annotated[Room, entering(Action.CONTRACTS_READ)]
Writes = Annotated[Room, entering(Action.CONTRACTS_WRITE)]
EXAMPLE = {
    "customer": "",
    "currency": "EUR",
    "starts_on": "",
    "tariff": "",
    "baseline": "libx265-medium",
    "metric": "ms_ssim",
    "share": [{"percent": "20"}],
}
TARIFF_EXAMPLE = {
    "name": "",
    "currency": "EUR",
    "tiers": [{"up_to_gb": "10000", "price_per_gb": "0.05"}, {"price_per_gb": "0.04"}],
}


@router.get("/contracts")
def list_contracts(room: Reads) -> Response:
    today = room.office.clock().date()
    with room.office.database.snapshot() as session:
        page = repository.contract_page(session, room.at)
        documents = service.documents_on(session, [one.id for one in page.rows], today)
        rows = [(one, documents[one.id]) for one in page.rows]
        return room.page("contracts.html", contracts=rows, page=page, today=today)


@router.get("/contracts/new")
def show_contract_form(room: Writes) -> Response:
    example = EXAMPLE | {"customer": room.asked("customer"), "starts_on": room.office.clock().date().isoformat()}
    return _contract_form(room, {"document": json.dumps(example, indent=2)})


@router.post("/contracts/new")
def add_contract(room: Writes, form: Posted) -> Response:
    try:
        document = check_document(ContractDocument, _json(form.get("document", "")), what="contract")
        with room.office.database.transaction() as session:
            contract = service.add_contract(
                session, document, contract_id=form.get("id") or None, occasion=room.occasion
            )
    except (Invalid, AlreadyExists, NotFound) as error:
        return _contract_form(room, form, problem=error.detail, status=error.status)
    return room.to(f"/contracts/{contract.id}", "contract")


@router.get("/contracts/{contract_id}")
def show_contract(contract_id: str, room: Reads) -> Response:
    return _contract(room, contract_id, filled={})


@router.post("/contracts/{contract_id}/amend")
def amend_contract(contract_id: str, room: Writes, form: Posted) -> Response:
    try:
        patch = _json(form.get("patch", ""))
        try:
            day = date.fromisoformat(form.get("effective_on", ""))
        except ValueError as error:
            raise Invalid("say from which day on, such as 2027-01-01") from error
        with room.office.database.transaction() as session:
            service.amend_contract(
                session,
                contract_id,
                patch,
                effective_on=day,
                first_open_day=first_open_day(session, contract_id),
                reason=form.get("reason", "").strip() or None,
                occasion=room.occasion,
            )
    except (Invalid, AlreadyExists) as error:
        return _contract(room, contract_id, filled=form, problem=error.detail, status=error.status)
    return room.to(f"/contracts/{contract_id}", "amended")


@router.post("/contracts/{contract_id}/cdn-invoice")
def record_cdn_invoice(contract_id: str, room: Writes, form: Posted) -> Response:
    """What a CDN charged the customer for a month: some contracts value savings by it."""
    try:
        try:
            period = Period.from_text(form.get("month", ""))
        except ValueError as error:
            raise Invalid("say which month, such as 2026-11") from error
        with room.office.database.transaction() as session:
            amount = decimal_of(form.get("charged", ""))
            cdn = form.get("cdn", "").strip()
            terms.add_cdn_invoice(session, contract_id, period, cdn, amount, occasion=room.occasion)
    except (Invalid, NotFound) as error:
        return _contract(room, contract_id, filled=form, problem=error.detail, status=error.status)
    return room.to(f"/contracts/{contract_id}", "cdn-invoice")


@router.post("/contracts/{contract_id}/rate")
def record_rate(contract_id: str, room: Writes, form: Posted) -> Response:
    """The rate of a day from the tariff's currency to the contract's, of the source that the contract names."""
    try:
        with room.office.database.transaction() as session:
            document = service.document_on(session, contract_id, room.office.clock().date())
            currency = service.require_tariff(session, document.tariff).currency
            rate, source = decimal_of(form.get("rate", "")), document.exchange.source
            try:
                day = date.fromisoformat(form.get("day", ""))
                exchange = Exchange(currency=currency, rate=rate, source=source, date=day.isoformat())
            except ValueError as error:
                raise Invalid(str(error)) from error
            terms.add_rate(session, exchange, to_currency=document.currency, occasion=room.occasion)
    except Invalid as error:
        return _contract(room, contract_id, filled=form, problem=error.detail, status=error.status)
    return room.to(f"/contracts/{contract_id}", "rate")


@router.get("/tariffs")
def list_tariffs(room: Reads) -> Response:
    with room.office.database.snapshot() as session:
        page = repository.tariff_page(session, room.at)
        rows = [(one, service.read_tariff(one)) for one in page.rows]
        return room.page("tariffs.html", tariffs=rows, page=page)


@router.get("/tariffs/new")
def show_tariff_form(room: Writes) -> Response:
    return _tariff_form(room, {"document": json.dumps(TARIFF_EXAMPLE, indent=2)})


@router.post("/tariffs/new")
def add_tariff(room: Writes, form: Posted) -> Response:
    try:
        document = check_document(TariffDocument, _json(form.get("document", "")), what="tariff")
        with room.office.database.transaction() as session:
            tariff = service.add_tariff(session, document, tariff_id=form.get("id") or None, occasion=room.occasion)
    except (Invalid, AlreadyExists) as error:
        return _tariff_form(room, form, problem=error.detail, status=error.status)
    return room.to(f"/tariffs/{tariff.id}", "tariff")


@router.get("/tariffs/{tariff_id}")
def show_tariff(tariff_id: str, room: Reads) -> Response:
    with room.office.database.snapshot() as session:
        tariff = service.require_tariff(session, tariff_id)
        document = service.read_tariff(tariff)
        text = json.dumps(json.loads(tariff.document), indent=2, ensure_ascii=False)
        return room.page("tariff.html", tariff=tariff, document=document, text=text)


def _contract_form(room: Room, filled: Any, *, problem: str | None = None, status: int = 200) -> Response:
    with room.office.database.snapshot() as session:
        tariffs = repository.list_tariffs(session)
        schema = _schema_of(ContractDocument)
        values = {"problem": problem, "filled": filled, "tariffs": tariffs, "schema": schema}
        return room.page("contract_new.html", status=status, **values)


def _tariff_form(room: Room, filled: Any, *, problem: str | None = None, status: int = 200) -> Response:
    schema = _schema_of(TariffDocument)
    return room.page("tariff_new.html", status=status, problem=problem, filled=filled, schema=schema)


def _schema_of(kind: type[Document]) -> str:
    return json.dumps(json_schema(kind), indent=2, ensure_ascii=False)


def _contract(room: Room, contract_id: str, *, filled: Any, problem: str | None = None, status: int = 200) -> Response:
    today = room.office.clock().date()
    with room.office.database.snapshot() as session:
        contract = service.require_contract(session, contract_id)
        rows = repository.list_versions(session, contract_id)
        versions = service.versions_of(session, contract_id)
        in_force = service.version_row_on(session, contract_id, today)
        document = service.document_on(session, contract_id, today)
        changes = [
            () if place == 0 else changed_members(versions[place - 1].document, version.document)
            for place, version in enumerate(versions)
        ]
        tariff = service.require_tariff(session, document.tariff)
        limit = limits_of(session, customer_id=contract.customer_id).get(contract_id)
        return room.page(
            "contract.html",
            status=status,
            problem=problem,
            filled=filled,
            contract=contract,
            document=document,
            in_force=in_force.number,
            versions=list(zip(rows, changes, strict=True))[::-1],
            tariff=tariff,
            credit=repository.credit_balance(session, contract_id),
            outcomes=sorted(statements.outcomes_of(session, contract_id).values(), key=lambda one: one.period)[::-1],
            takes_cdn_invoices=document.valuation.mode is Mode.EFFECTIVE_PRICE,
            cdn_invoices=repository.list_cdn_invoices(session, contract_id),
            rates=repository.rates_of(
                session, document.exchange.source, base=tariff.currency, quoted=document.currency
            ),
            limit=limit,
            limit_text="" if limit is None else major_of(limit, document.currency),
            open_from=first_open_day(session, contract_id),
            text=json.dumps(json.loads(in_force.document), indent=2, ensure_ascii=False),
        )


def _json(text: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except ValueError as error:
        raise Invalid(f"the document is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise Invalid("the document is not a JSON object")
    return read
