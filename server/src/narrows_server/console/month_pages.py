"""Months: how each contract's ended and why, what closing would charge now, and closing while one looks on."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from narrows_metering.terms import Period
from sqlalchemy.orm import Session

from narrows_server.access.roles import Action
from narrows_server.console.closing import Closings, Progress
from narrows_server.console.gate import Posted
from narrows_server.console.room import Room, entering
from narrows_server.contracts.models import Contract
from narrows_server.contracts.service import require_contract
from narrows_server.errors import Invalid, NotFound
from narrows_server.invoices.models import Invoice
from narrows_server.statements import repository, service
from narrows_server.statements.drawing import earlier_months
from narrows_server.statements.models import Outcome

MONTHS_SHOWN = 12

router = APIRouter(prefix="/months", tags=["months"])

Reads = Annotated[Room, entering(Action.BOOKS_READ)]
Writes = Annotated[Room, entering(Action.STATEMENTS_WRITE)]


@router.get("")
def list_months(room: Reads) -> Response:
    today = room.office.clock().date()
    with room.office.database.snapshot() as session:
        ended: dict[str, dict[str, int]] = {}
        for outcome in repository.list_outcomes(session):
            counts = ended.setdefault(outcome.period, {})
            counts[outcome.result] = counts.get(outcome.result, 0) + 1
        this_month = Period(year=today.year, month=today.month)
        months = [this_month, *reversed(earlier_months(this_month, MONTHS_SHOWN))]
        rows = [(str(one), len(service.active_contracts(session, one)), ended.get(str(one), {})) for one in months]
        return room.page("months.html", months=[row for row in rows if row[1] or row[2]])


@router.get("/{month}")
def show(month: str, room: Reads) -> Response:
    return _page(room, _period(month))


@router.get("/{month}/progress")
def show_progress(month: str, room: Reads) -> Response:
    """The part of the page that changes while the month is closed."""
    period = _period(month)
    with room.office.database.snapshot() as session:
        return room.part(
            "month_progress.html", period=str(period), rows=_rows(session, period), progress=_progress(room, period)
        )


@router.get("/{month}/preview")
def preview(month: str, room: Reads) -> Response:
    period = _period(month)
    with room.office.database.snapshot() as session:
        found = [
            (require_contract(session, one), service.preview(session, one, period, occasion=room.occasion))
            for one in service.active_contracts(session, period)
        ]
        return room.page("month_preview.html", period=str(period), previews=found)


@router.post("/{month}/close")
def close(month: str, room: Writes, form: Posted) -> Response:
    period = _period(month)
    closings: Closings = room.request.app.state.closings
    try:
        with room.office.database.snapshot() as session:
            active = service.active_contracts(session, period)
            one = form.get("contract_id")
            if one and one not in active:
                raise Invalid(f"contract {one} does not hold in {period}")
        closings.start(
            room.office,
            period,
            [one] if one else active,
            occasion=lambda: room.occasion,
            is_early="early" in form,
            sends="send" in form,
        )
    except Invalid as error:
        return _page(room, period, problem=error.detail, status=422)
    return room.to(f"/months/{period}", "closing")


def _page(room: Room, period: Period, *, problem: str | None = None, status: int = 200) -> Response:
    today = room.office.clock().date()
    with room.office.database.snapshot() as session:
        return room.page(
            "month.html",
            status=status,
            problem=problem,
            period=str(period),
            rows=_rows(session, period),
            progress=_progress(room, period),
            is_over=date(period.year, period.month, period.days_in_month) < today,
        )


def _rows(session: Session, period: Period) -> list[tuple[Contract, Outcome | None, Invoice | None]]:
    """Each contract that holds in the month, with how it ended."""
    outcomes = {one.contract_id: one for one in repository.list_outcomes(session, period=str(period))}
    ids = [*service.active_contracts(session, period)]
    ids += [contract_id for contract_id in outcomes if contract_id not in ids]
    rows = []
    for contract_id in ids:
        outcome = outcomes.get(contract_id)
        invoice = session.get(Invoice, outcome.invoice_id) if outcome and outcome.invoice_id else None
        rows.append((require_contract(session, contract_id), outcome, invoice))
    return rows


def _progress(room: Room, period: Period) -> Progress | None:
    closings: Closings = room.request.app.state.closings
    return closings.progress(str(period))


def _period(month: str) -> Period:
    try:
        return Period.from_text(month)
    except ValueError as error:
        raise NotFound(f"there is no month {month}") from error
