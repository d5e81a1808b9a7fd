"""The first page: for the vendor what there is to do today, for a customer what was saved. And how pages look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from narrows_metering.terms import Period
from sqlalchemy.orm import Session

from narrows_server import wording
from narrows_server.access.roles import Action
from narrows_server.alerts import repository as alerts
from narrows_server.alerts.limits import limits_of
from narrows_server.console import savings
from narrows_server.console.gate import Posted, own_path
from narrows_server.console.room import Room, entering
from narrows_server.console.theme import keep_theme
from narrows_server.console.typed import major_of
from narrows_server.contracts.repository import list_contracts
from narrows_server.contracts.service import documents_on
from narrows_server.customers.models import Customer
from narrows_server.customers.repository import count_customers, customer_page, customers_by_id
from narrows_server.invoices import repository as invoices
from narrows_server.licenses import repository as licenses
from narrows_server.licenses.service import state
from narrows_server.paging import Paging
from narrows_server.payments import repository as payments
from narrows_server.payments.repository import standings
from narrows_server.proposals.service import list_undecided
from narrows_server.statements import repository as statements
from narrows_server.statements import rollup
from narrows_server.statements.drawing import earlier_months
from narrows_server.statements.life import read_life
from narrows_server.statements.standing import Standing
from narrows_server.usage import repository as usage

MONTHS = 13
ALERTS = 8
ASSETS = 8
CUSTOMERS = 8
EACH = 5  # Tasks of one kind; the others are counted.

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
        if customer_id is not None:
            return room.page("portal.html", **_of_customer(session, room, customer_id, since=since))
        return room.page("dashboard.html", **_of_vendor(session, room, since=since))


@router.post("/theme")
def choose_theme(room: Annotated[Room, entering(None)], form: Posted) -> Response:
    """Light or dark, or as the system has it: remembered by the browser."""
    response = room.to(own_path(form.get("next", "/")))
    keep_theme(response, form.get("theme", ""))
    return response


def _of_vendor(session: Session, room: Room, *, since: str) -> dict[str, Any]:
    now, may = room.office.clock(), room.caller.may
    reads = may(Action.STATEMENTS_READ)
    months = rollup.by_month(session, since=since) if reads else {}
    valid, issued = licenses.count_licenses(session, at=now) if may(Action.LICENSES_READ) else (0, 0)
    return {
        "months": savings.months_of(months),
        "total": savings.total(months.values()),
        "assets": rollup.top_assets(session, count=ASSETS) if reads else [],
        "customers": _best_customers(session, since=since) if reads else _first_customers(session),
        "customer_count": count_customers(session),
        "alerts": alerts.worst_alerts(session, count=ALERTS) if may(Action.ALERTS_READ) else [],
        "valid_licenses": valid,
        "licenses": issued,
        "installations": usage.count_installations(session),
        "tasks": _tasks(session, room, since=since),
    }


def _best_customers(session: Session, *, since: str) -> list[tuple[Customer, rollup.Savings]]:
    """Those who saved most; then, where there are few, those who saved nothing yet."""
    best = rollup.best_customers(session, since=since, count=CUSTOMERS)
    found, known = rollup.by_customer(session, best, since=since), customers_by_id(session, best)
    rows = [(known[name], found[name]) for name in best]
    others = [one for one, _ in _first_customers(session) if one.id not in found]
    return [*rows, *((one, rollup.Savings()) for one in others)][:CUSTOMERS]


def _first_customers(session: Session) -> list[tuple[Customer, rollup.Savings]]:
    return [(one, rollup.Savings()) for one in customer_page(session, Paging(limit=CUSTOMERS)).rows]


def _tasks(session: Session, room: Room, *, since: str) -> list[Task]:
    """What waits for whoever looks, the most pressing first; a few of each kind."""
    now, may, tasks = room.office.clock(), room.caller.may, list[Task]()
    if may(Action.PROPOSALS_DECIDE):
        waiting = [one for one in list_undecided(session) if one.proposer != room.caller.human]
        if waiting:
            why = "waits for a second person" if len(waiting) == 1 else "wait for a second person"
            tasks.append(Task(path="/proposals", text=_count(len(waiting), "proposal"), why=why))
    if may(Action.STATEMENTS_READ):
        tasks += _disputes(session, since=since, now=now)
        drafts = rollup.count_standing(session, Standing.DRAFT, since=since)
        if drafts and may(Action.STATEMENTS_WRITE):
            tasks.append(Task(path="/statements", text=_count(drafts, "draft"), why="to look at and to send"))
    if may(Action.BOOKS_READ):
        for month, count in statements.count_held(session, since=since).items():
            held = statements.first_held(session, month)
            text = f"{wording.month(month)}: {_count(count, 'contract')} held"
            tasks.append(Task(path=f"/months/{month}", text=text, why=str(held.reason)))
    if may(Action.INVOICES_READ):
        late, earliest = payments.count_overdue(session, now.date())
        if late:
            days = (now.date() - earliest).days if earliest else 0
            why = f"{days} {'day' if days == 1 else 'days'} at most"
            tasks.append(Task(path="/invoices?only=overdue", text=f"{_count(late, 'invoice')} overdue", why=why))
    if may(Action.LICENSES_WRITE):
        tasks += _expiring(session, now=now)
    return tasks


def _disputes(session: Session, *, since: str, now: datetime) -> list[Task]:
    found = rollup.list_standing(session, Standing.DISPUTED, since=since, count=EACH + 1)
    steps = statements.steps_by_statement(session, [one.id for one in found])
    tasks = [
        Task(
            path=f"/statements/{one.id}",
            text=f"{one.contract.customer.name}, {wording.month(one.period)}",
            why=f"disputed: {read_life(steps.get(one.id, []), now=now).detail}",
        )
        for one in found[:EACH]
    ]
    if len(found) > EACH:
        count = rollup.count_standing(session, Standing.DISPUTED, since=since)
        tasks.append(Task(path="/statements", text=f"{_count(count - EACH, 'statement')} more", why="disputed"))
    return tasks


def _expiring(session: Session, *, now: datetime) -> list[Task]:
    """Licenses that end soon and that nobody has renewed."""
    renewed = alerts.renewed_ids(session)
    found = [one for one in alerts.expiring(session, at=now) if state(one, now) == "valid" and one.id not in renewed]
    tasks = [
        Task(
            path=f"/licenses/{one.id}",
            text=one.customer.name,
            why=f"the license expires on {one.expires_at:%-d %B}",
        )
        for one in found[:EACH]
    ]
    if len(found) > EACH:
        more = _count(len(found) - EACH, "license")
        tasks.append(Task(path="/alerts", text=f"{more} more", why="expire within a month"))
    return tasks


def _of_customer(session: Session, room: Room, customer_id: str, *, since: str) -> dict[str, Any]:
    now = room.office.clock()
    current = statements.list_current(session, since=since, customer_id=customer_id)
    months = savings.by_month(current)
    latest = [one.id for one in current if one.period == current[0].period]
    steps = statements.steps_by_statement(session, [one.id for one in current])
    lives = {one.id: read_life(steps.get(one.id, []), now=now) for one in current}
    issued = invoices.list_invoices(session, customer_id=customer_id)
    issued = [one for one in issued if one.number is not None and one.kind == "invoice"]
    found = standings(session, issued)
    owed: dict[str, int] = {}
    for one in issued:
        owed[one.currency] = owed.get(one.currency, 0) + found[one.id].receivable_minor
    return {
        "months": savings.months_of(months),
        "total": savings.total(months.values()),
        "assets": rollup.top_assets_of(session, latest, count=ASSETS),
        "waiting": [(one, lives[one.id]) for one in current if lives[one.id].standing is Standing.SENT],
        "owed": sorted(owed.items()),
        "unpaid": [one for one in issued if found[one.id].receivable_minor > 0],
        "standings": found,
        "licenses": [(one, state(one, now)) for one in licenses.list_licenses_of(session, customer_id)],
        "alerts": alerts.worst_alerts(session, count=ALERTS, customer_id=customer_id),
        "limits": _limits(session, customer_id, today=now.date()),
    }


def _limits(session: Session, customer_id: str, *, today: date) -> list[tuple[str, str, str]]:
    """Of each contract its id, its currency and the spend limit as it is typed."""
    known = limits_of(session, customer_id=customer_id)
    ids = [one.id for one in list_contracts(session, customer_id=customer_id)]
    return [
        (name, document.currency, major_of(known[name], document.currency) if name in known else "")
        for name, document in documents_on(session, ids, today).items()
    ]


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
