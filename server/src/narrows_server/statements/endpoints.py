"""Statements and months: to read, to take the next step in a statement's life, and to close a month by a button."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from narrows_metering.terms import Period
from sqlalchemy.orm import Session

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.errors import Invalid, NotFound
from narrows_server.invoices.models import Invoice
from narrows_server.office import Office
from narrows_server.paging import Page
from narrows_server.statements import life, repository, service
from narrows_server.statements.life import read_life
from narrows_server.statements.models import Outcome, Statement
from narrows_server.statements.schemas import (
    AcceptIn,
    CloseIn,
    MonthOut,
    OutcomeOut,
    PreviewOut,
    PreviewsOut,
    ReasonIn,
    StatementOut,
)
from narrows_server.statements.standing import Standing
from narrows_server.web import Change, OfficeOf, PagingOf, allowed, changing

router = APIRouter(prefix="/v1", tags=["statements"])

Reads = Annotated[Caller, allowed(Action.STATEMENTS_READ)]
ReadsBooks = Annotated[Caller, allowed(Action.BOOKS_READ)]
Writes = Annotated[Change, changing(Action.STATEMENTS_WRITE)]
Answers = Annotated[Change, changing(Action.STATEMENTS_ANSWER)]


@router.get("/statements", summary="Statements, the latest period first")
def list_statements(office: OfficeOf, caller: Reads, at: PagingOf) -> Page[StatementOut]:
    """A customer sees those that were sent to it, and no drafts."""
    with office.database.snapshot() as session:
        page = repository.statement_page(session, at, customer_id=caller.customer_id)
        steps = repository.steps_by_statement(session, [statement.id for statement in page.rows])
        items = [
            StatementOut.of(
                statement,
                read_life(steps.get(statement.id, []), now=office.clock()),
                life.signed_document(session, statement, office.keyring.receipt, steps=steps.get(statement.id, [])),
            )
            for statement in page.rows
        ]
        return Page(items=items, next_cursor=page.next_cursor)


@router.get("/statements/{statement_id}", summary="One statement, signed")
def get_statement(statement_id: str, office: OfficeOf, caller: Reads) -> StatementOut:
    with office.database.snapshot() as session:
        return _shown(session, _require(session, statement_id, caller, office), office)


@router.post("/statements/{statement_id}/send", summary="Hand a draft to the customer", response_model=StatementOut)
def send_statement(statement_id: str, change: Writes) -> Response:
    def act(session: Session, _: object) -> StatementOut:
        statement = _require(session, statement_id, change.caller, change.office)
        life.send(session, statement, occasion=change.occasion())
        return _shown(session, statement, change.office)

    return change.once(act)


@router.post(
    "/statements/{statement_id}/accept",
    summary="Accept a statement, by signature or by word",
    response_model=StatementOut,
)
def accept_statement(statement_id: str, accepted: AcceptIn, change: Answers) -> Response:
    def act(session: Session, _: object) -> StatementOut:
        statement = _require(session, statement_id, change.caller, change.office)
        signature = accepted.signature.model_dump() if accepted.signature else None
        life.accept(session, statement, signature=signature, detail=accepted.note, occasion=change.occasion())
        return _shown(session, statement, change.office)

    return change.once(act)


@router.post("/statements/{statement_id}/dispute", summary="Object to a statement", response_model=StatementOut)
def dispute_statement(statement_id: str, disputed: ReasonIn, change: Answers) -> Response:
    def act(session: Session, _: object) -> StatementOut:
        statement = _require(session, statement_id, change.caller, change.office)
        life.dispute(session, statement, reason=disputed.reason, occasion=change.occasion())
        return _shown(session, statement, change.office)

    return change.once(act)


@router.post(
    "/statements/{statement_id}/redraw", summary="Draw it up again from what is known now", response_model=StatementOut
)
def redraw_statement(statement_id: str, why: ReasonIn, change: Writes) -> Response:
    def act(session: Session, _: object) -> StatementOut:
        statement = _require(session, statement_id, change.caller, change.office)
        again = service.draw_again(session, statement, reason=why.reason, occasion=change.occasion())
        return _shown(session, again, change.office)

    return change.once(act)


@router.get("/months/{month}", summary="How a month ended, by contract")
def get_month(month: str, office: OfficeOf, caller: ReadsBooks) -> MonthOut:
    period = _period(month)
    with office.database.snapshot() as session:
        return _month(session, period, repository.list_outcomes(session, period=str(period)))


@router.get("/months/{month}/preview", summary="The lines that closing a month would invoice now")
def preview_month(month: str, office: OfficeOf, caller: ReadsBooks, contract_id: str | None = None) -> PreviewsOut:
    period = _period(month)
    with office.database.snapshot() as session:
        ids = [contract_id] if contract_id else service.active_contracts(session, period)
        found = [service.preview(session, one, period, occasion=office.occasion(caller.actor)) for one in ids]
    return PreviewsOut(items=[PreviewOut.of(one) for one in found])


@router.post("/months/{month}/close", summary="Close a month; again as often as needed")
def close_month(month: str, wanted: CloseIn, change: Writes) -> MonthOut:
    """Every contract is closed in a transaction of its own; closing again finds what was done and does the rest."""
    period, office = _period(month), change.office
    with office.database.snapshot() as session:
        ids = [wanted.contract_id] if wanted.contract_id else service.active_contracts(session, period)
    outcomes = list(
        service.close_month(
            office.database, ids, period, occasion=change.occasion, is_early=wanted.early, sends=wanted.send
        )
    )
    with office.database.snapshot() as session:
        return _month(session, period, outcomes)


def _require(session: Session, statement_id: str, caller: Caller, office: Office) -> Statement:
    """The statement; a draft, or somebody else's, does not exist for a customer. Raises `NotFound`."""
    statement = service.require_statement(session, statement_id)
    caller.require_own(statement.contract.customer_id, f"statement {statement_id}")
    if caller.customer_id is not None:
        known = life.life_of(session, statement, now=office.clock())
        if known.standing is Standing.DRAFT:
            raise NotFound(f"there is no statement {statement_id}")
    return statement


def _shown(session: Session, statement: Statement, office: Office) -> StatementOut:
    steps = repository.list_steps(session, statement.id)
    document = life.signed_document(session, statement, office.keyring.receipt, steps=steps)
    return StatementOut.of(statement, read_life(steps, now=office.clock()), document)


def _period(month: str) -> Period:
    try:
        return Period.from_text(month)
    except ValueError as error:
        raise Invalid(str(error)) from error


def _month(session: Session, period: Period, outcomes: list[Outcome]) -> MonthOut:
    found = [OutcomeOut.of(one, session.get(Invoice, one.invoice_id) if one.invoice_id else None) for one in outcomes]
    return MonthOut(period=str(period), outcomes=found)
