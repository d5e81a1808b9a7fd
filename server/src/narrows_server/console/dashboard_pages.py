"""The first page: for the vendor what there is to do today, for a customer what was saved. And how pages look."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from narrows_metering.terms import Period
from sqlalchemy.orm import Session

from narrows_server import wording
from narrows_server.access.roles import Action
from narrows_server.alerts import repository as alerts
from narrows_server.console import savings
from narrows_server.console.gate import Posted, own_path
from narrows_server.console.room import THEME_COOKIE, THEMES, Room, entering
from narrows_server.customers.repository import list_customers
from narrows_server.invoices import repository as invoices
from narrows_server.licenses import repository as licenses
from narrows_server.licenses.service import state
from narrows_server.paging import Paging
from narrows_server.payments import service as payments
from narrows_server.payments.repository import standings
from narrows_server.proposals.service import list_undecided
from narrows_server.statements import repository as statements
from narrows_server.statements.drawing import earlier_months
from narrows_server.statements.life import read_life
from narrows_server.statements.models import Statement
from narrows_server.statements.standing import Standing
from narrows_server.usage import repository as usage

MONTHS = 13
ALERTS = 8
ASSETS = 8
SOON = timedelta(days=30)

router = APIRouter(tags=["overview"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Something to do today, and where."""

    path: str
    text: str
    why: str


@router.get("/")
def show_overview(room: Annotated[Room, entering(None)]) -> Response:
    customer_id = room.caller.customer_id
    now = room.office.clock()
    since = str(earlier_months(Period(year=now.year, month=now.month), MONTHS)[0])
    with room.office.database.snapshot() as session:
        current = list[Statement]()
        if room.caller.may(Action.STATEMENTS_READ):
            current = statements.list_current(session, since=since, customer_id=customer_id)
        values: dict[str, Any] = {
            "months": savings.by_month(current),
            "total": savings.total(current),
            "assets": _top_assets(current),
        }
        if customer_id is not None:
            return room.page("portal.html", **values, **_of_customer(session, room, current, customer_id))
        return room.page("dashboard.html", **values, **_of_vendor(session, room, current))


@router.post("/theme")
def choose_theme(room: Annotated[Room, entering(None)], form: Posted) -> Response:
    """Light or dark, or as the system has it: remembered by the browser."""
    chosen = form.get("theme", "")
    response = room.to(own_path(form.get("next", "/")))
    if chosen in THEMES:
        response.set_cookie(
            THEME_COOKIE, chosen, max_age=365 * 86_400, path="/", secure=True, httponly=True, samesite="lax"
        )
    return response


def _of_vendor(session: Session, room: Room, current: list[Statement]) -> dict[str, Any]:
    now, caller = room.office.clock(), room.caller
    by_customer: dict[str, list[Statement]] = {}
    for statement in current:
        by_customer.setdefault(statement.contract.customer_id, []).append(statement)
    customers = [(one, savings.total(by_customer.get(one.id, []))) for one in list_customers(session)]
    found = alerts.alert_page(session, Paging(limit=ALERTS), is_open=True) if caller.may(Action.ALERTS_READ) else None
    issued = licenses.list_licenses(session) if caller.may(Action.LICENSES_READ) else []
    return {
        "customers": sorted(customers, key=lambda one: -one[1].saved_bytes),
        "alerts": found.rows if found else [],
        "valid_licenses": sum(state(one, now) == "valid" for one in issued),
        "licenses": len(issued),
        "installations": len(usage.list_installations(session)),
        "tasks": _tasks(session, room, current),
    }


def _tasks(session: Session, room: Room, current: list[Statement]) -> list[Task]:
    """What waits for whoever looks, the most pressing first."""
    now, may, tasks = room.office.clock(), room.caller.may, list[Task]()
    if may(Action.PROPOSALS_DECIDE):
        waiting = [one for one in list_undecided(session) if one.proposer != room.caller.human]
        if waiting:
            tasks.append(Task(path="/proposals", text=_count(waiting, "proposal"), why="wait for a second person"))
    if may(Action.STATEMENTS_READ):
        steps = statements.steps_by_statement(session, [one.id for one in current])
        lives = {one.id: read_life(steps.get(one.id, []), now=now) for one in current}
        for one in current:
            if lives[one.id].standing is Standing.DISPUTED:
                name = f"{one.contract.customer.name}, {wording.month(one.period)}"
                tasks.append(Task(path=f"/statements/{one.id}", text=name, why=f"disputed: {lives[one.id].detail}"))
        drafts = [one for one in current if lives[one.id].standing is Standing.DRAFT]
        if drafts and may(Action.STATEMENTS_WRITE):
            tasks.append(Task(path="/statements", text=_count(drafts, "draft"), why="to look at and to send"))
    if may(Action.BOOKS_READ):
        for month in sorted({one.period for one in statements.list_outcomes(session) if one.result == "held"}):
            held = [one for one in statements.list_outcomes(session, period=month) if one.result == "held"]
            text = f"{wording.month(month)}: {_count(held, 'contract')} held"
            tasks.append(Task(path=f"/months/{month}", text=text, why=str(held[0].reason)))
    if may(Action.INVOICES_READ):
        late = payments.overdue(session, now.date())
        if late:
            longest = max(standing.days_overdue(now.date()) for _, standing in late)
            why = f"{longest} {'day' if longest == 1 else 'days'} at most"
            tasks.append(Task(path="/invoices?only=overdue", text=f"{_count(late, 'invoice')} overdue", why=why))
    if may(Action.LICENSES_WRITE):
        for license in licenses.list_licenses(session):
            if state(license, now) == "valid" and license.expires_at <= now + SOON:
                why = f"the license expires on {license.expires_at:%-d %B}"
                tasks.append(Task(path=f"/licenses/{license.id}", text=license.customer.name, why=why))
    return tasks


def _of_customer(session: Session, room: Room, current: list[Statement], customer_id: str) -> dict[str, Any]:
    now = room.office.clock()
    steps = statements.steps_by_statement(session, [one.id for one in current])
    lives = {one.id: read_life(steps.get(one.id, []), now=now) for one in current}
    issued = invoices.list_invoices(session, customer_id=customer_id)
    issued = [one for one in issued if one.document is not None and one.kind == "invoice"]
    found = standings(session, issued)
    owed: dict[str, int] = {}
    for one in issued:
        owed[one.currency] = owed.get(one.currency, 0) + found[one.id].receivable_minor
    return {
        "waiting": [(one, lives[one.id]) for one in current if lives[one.id].standing is Standing.SENT],
        "owed": sorted(owed.items()),
        "unpaid": [one for one in issued if found[one.id].receivable_minor > 0],
        "standings": found,
        "licenses": [(one, state(one, now)) for one in licenses.list_licenses_of(session, customer_id)],
        "alerts": alerts.alert_page(session, Paging(limit=ALERTS), customer_id=customer_id, is_open=True).rows,
    }


def _top_assets(current: list[Statement]) -> list[tuple[Statement, savings.Asset]]:
    """Of the latest month that has any."""
    for month in sorted({one.period for one in current}, reverse=True):
        found = [
            (statement, asset)
            for statement in current
            if statement.period == month
            for asset in savings.assets_of(json.loads(statement.document))
        ]
        if found:
            return sorted(found, key=lambda one: -one[1].saved_bytes)[:ASSETS]
    return []


def _count(things: list[Any], noun: str) -> str:
    return f"{len(things)} {noun}" if len(things) == 1 else f"{len(things)} {noun}s"
