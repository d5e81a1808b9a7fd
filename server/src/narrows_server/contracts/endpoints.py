"""Contracts and tariffs: to read with their versions, to add, to amend."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.audit import Occasion
from narrows_server.contracts import repository, service
from narrows_server.contracts.contract_document import ContractDocument
from narrows_server.contracts.reading import check_document
from narrows_server.contracts.schemas import (
    AmendmentIn,
    ContractIn,
    ContractOut,
    TariffIn,
    TariffOut,
    VersionOut,
    VersionsOut,
)
from narrows_server.contracts.tariff_document import TariffDocument
from narrows_server.moments import Day
from narrows_server.paging import Page
from narrows_server.statements.service import first_open_day
from narrows_server.web import Change, OfficeOf, PagingOf, allowed, changing

router = APIRouter(prefix="/v1", tags=["contracts"])

Reads = Annotated[Caller, allowed(Action.CONTRACTS_READ)]
Writes = Annotated[Change, changing(Action.CONTRACTS_WRITE)]


@router.get("/contracts", summary="Contracts, with the terms that hold today")
def list_contracts(office: OfficeOf, caller: Reads, at: PagingOf) -> Page[ContractOut]:
    with office.database.snapshot() as session:
        page = repository.contract_page(session, at)
        items = [_contract(session, contract.id, office.clock().date()) for contract in page.rows]
        return Page(items=items, next_cursor=page.next_cursor)


@router.get("/contracts/{contract_id}", summary="One contract, with the terms that hold on a day")
def get_contract(contract_id: str, office: OfficeOf, caller: Reads, on: Day | None = None) -> ContractOut:
    """Without *on*, the terms of today."""
    with office.database.snapshot() as session:
        return _contract(session, contract_id, on or office.clock().date())


@router.get("/contracts/{contract_id}/versions", summary="Every version of a contract")
def list_versions(contract_id: str, office: OfficeOf, caller: Reads) -> VersionsOut:
    with office.database.snapshot() as session:
        service.require_contract(session, contract_id)
        return VersionsOut(items=[VersionOut.of(row) for row in repository.list_versions(session, contract_id)])


@router.post("/contracts", summary="Add a contract", response_model=ContractOut, status_code=201)
def add_contract(wanted: ContractIn, change: Writes) -> Response:
    def act(session: Session, occasion: Occasion) -> ContractOut:
        document = check_document(ContractDocument, wanted.document, what="document")
        contract = service.add_contract(session, document, contract_id=wanted.id, occasion=occasion)
        return _contract(session, contract.id, contract.starts_on)

    return change.once(act, status=201)


@router.post(
    "/contracts/{contract_id}/amendments",
    summary="Add a version with other terms from a day on",
    response_model=VersionOut,
    status_code=201,
)
def amend_contract(contract_id: str, wanted: AmendmentIn, change: Writes) -> Response:
    """*patch* names the members that change (RFC 7396)."""

    def act(session: Session, occasion: Occasion) -> VersionOut:
        row = service.amend_contract(
            session,
            contract_id,
            wanted.patch,
            effective_on=wanted.effective_on,
            first_open_day=first_open_day(session, contract_id),
            reason=wanted.reason,
            occasion=occasion,
        )
        return VersionOut.of(row)

    return change.once(act, status=201)


@router.get("/tariffs", summary="Tariffs")
def list_tariffs(office: OfficeOf, caller: Reads, at: PagingOf) -> Page[TariffOut]:
    with office.database.snapshot() as session:
        page = repository.tariff_page(session, at)
        return Page(items=[TariffOut.of(tariff) for tariff in page.rows], next_cursor=page.next_cursor)


@router.get("/tariffs/{tariff_id}", summary="One tariff")
def get_tariff(tariff_id: str, office: OfficeOf, caller: Reads) -> TariffOut:
    with office.database.snapshot() as session:
        return TariffOut.of(service.require_tariff(session, tariff_id))


@router.post("/tariffs", summary="Add a tariff", response_model=TariffOut, status_code=201)
def add_tariff(wanted: TariffIn, change: Writes) -> Response:
    def act(session: Session, occasion: Occasion) -> TariffOut:
        document = check_document(TariffDocument, wanted.document, what="document")
        return TariffOut.of(service.add_tariff(session, document, tariff_id=wanted.id, occasion=occasion))

    return change.once(act, status=201)


def _contract(session: Session, contract_id: str, day: date) -> ContractOut:
    contract = service.require_contract(session, contract_id)
    return ContractOut.of(contract, service.version_row_on(session, contract_id, day))
