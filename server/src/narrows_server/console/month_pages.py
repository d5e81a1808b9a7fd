"""Months: how each contract's ended and why, what closing would charge now, and closing while one looks on."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from narrows_metering.terms import Period
from sqlalchemy.orm import Session

from narrows_server.access.roles import Action
from narrows_server.console.closing import Closings, Progress
from narrows_server.console.gate import Posted
from narrows_server.console.room import Room, entering
from narrows_server.contracts.repository import contracts_by_id
from narrows_server.contracts.service import require_contract
from narrows_server.errors import Invalid, NotFound
from narrows_server.invoices.repository import invoices_by_id
from narrows_server.statements import repository, service
from narrows_server.statements.drawing import earlier_months
from narrows_server.statements.life import read_life

MONTHS_SHOWN = 12
ROWS_SHOWN = 50
PREVIEWS_MAX = 5

router = APIRouter(prefix="/months", tags=["months"])

Reads = Annotated[Room, entering(Action.BOOKS_READ)]
Writes = Annotated[Room, entering(Action.STATEMENTS_WRITE)]


@router.get("")
def list_months(room: Reads) -> Response:
    today = room.office.clock().date()
    with room.office.database.snapshot() as session:
        ended = repository.count_outcomes(session)
        this_month = Period(year=today.year, month=today.month)
        months = [this_month, *reversed(earlier_months(this_month, MONTHS_SHOWN))]
        active = service.active_by_month(session, months)
        rows = [(str(one), len(active[one]), ended.get(str(one), {})) for one in months]
        return room.page("months.html", months=[row for row in rows if row[1] or row[2]])


@router.get("/{month}")
def show(month: str, room: Reads) -> Response:
    return _page(room, _period(month))


@router.get("/{month}/progress")
def show_progress(month: str, room: Reads) -> Response:
    """The part of the page that changes while the month is closed."""
    period = _period(month)
    with room.office.database.snapshot() as session:
        return room.part("month_progress.html", **_outcomes(room, session, period))


@router.get("/{month}/preview")
def preview(month: str, room: Reads) -> Response:
    """What closing would charge, from every record of the month: of one contract at a time where there are many."""
    period = _period(month)
    with room.office.database.snapshot() as session:
        active = service.active_contracts(session, period)
        asked = room.asked("contract")
        if asked and asked not in active:
            raise NotFound(f"contract {asked} does not hold in {period}")
        chosen = [asked] if asked else active if len(active) <= PREVIEWS_MAX else []
        found = [
            (require_contract(session, one), service.preview(session, one, period, occasion=room.occasion))
            for one in chosen
        ]
        return room.page("month_preview.html", period=str(period), previews=found, contract_ids=active, asked=asked)


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
            is_over=date(period.year, period.month, period.days_in_month) < today,
            **_outcomes(room, session, period),
        )


def _outcomes(room: Room, session: Session, period: Period) -> dict[str, Any]:
    """Some contracts that hold in the month, each with how it ended, and how many ended how."""
    counts = repository.count_outcomes(session).get(str(period), {})
    after, only = room.asked("after"), room.asked("only")
    ended = {one.contract_id: one for one in repository.list_outcomes(session, period=str(period))}
    names = sorted({*service.active_contracts(session, period), *ended})
    if only == "held":
        names = [name for name in names if name in ended and ended[name].result == "held"]
    chosen = [name for name in names if name > after][: ROWS_SHOWN + 1]
    shown = chosen[:ROWS_SHOWN]
    contracts = contracts_by_id(session, shown)
    issued = invoices_by_id(session, [ended[name].invoice_id for name in shown if name in ended])
    rows = []
    for name in shown:
        outcome = ended.get(name)
        rows.append((contracts[name], outcome, issued.get(outcome.invoice_id or "") if outcome else None))
    drawn = [one.statement_id for one in (ended.get(name) for name in shown) if one and one.statement_id]
    steps, now = repository.steps_by_statement(session, drawn), room.office.clock()
    return {
        "period": str(period),
        "rows": rows,
        "standings": {name: read_life(steps.get(name, []), now=now).standing.value for name in drawn},
        "total": len(names),
        "counts": counts,
        "after": after,
        "only": only,
        "following": shown[-1] if len(chosen) > ROWS_SHOWN else None,
        "progress": _progress(room, period),
    }


def _progress(room: Room, period: Period) -> Progress | None:
    closings: Closings = room.request.app.state.closings
    return closings.progress(str(period))


def _period(month: str) -> Period:
    try:
        return Period.from_text(month)
    except ValueError as error:
        raise NotFound(f"there is no month {month}") from error
