"""
The console: one page over everything, server-rendered, without scripts.

It reads and never changes anything; what changes things is the command line and the API.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.access.roles import Action
from narrows_server.alerts.service import find
from narrows_server.console.gate import showing
from narrows_server.console.rendering import page
from narrows_server.invoices import repository as invoices
from narrows_server.licenses import repository as licenses
from narrows_server.licenses.service import state
from narrows_server.office import Office
from narrows_server.parties.service import default_entity
from narrows_server.people.visitor import Visitor
from narrows_server.statements import repository as statements
from narrows_server.statements.figures import read_figures
from narrows_server.usage import repository as usage
from narrows_server.web import OfficeOf

AUDIT_ROWS = 12

router = APIRouter()


@router.get("/")
def show_overview(office: OfficeOf, visitor: Annotated[Visitor, showing(Action.CUSTOMERS_READ)]) -> Response:
    with office.database.snapshot() as session:
        return page("overview.html", form_token=visitor.form_token, person=visitor.person, **_overview(session, office))


def _overview(session: Session, office: Office) -> dict[str, Any]:
    now = office.clock()
    accounts = [(row, read_figures(row.document)) for row in statements.list_statements(session)]
    numbers = {invoice.statement_id: invoice for invoice in invoices.list_invoices(session)}
    billed: dict[str, int] = defaultdict(int)
    for invoice in numbers.values():
        billed[invoice.currency] += invoice.total_minor
    installations = usage.overviews(session)
    return {
        "vendor": default_entity(session),
        "now": now,
        "licenses": [(issued, state(issued, now)) for issued in licenses.list_licenses(session)],
        "installations": installations,
        "findings": find(session, at=now),
        "accounts": [(row, figures, numbers.get(row.id)) for row, figures in accounts],
        "held": [outcome for outcome in statements.list_outcomes(session) if outcome.result == "held"],
        "invoices": list(numbers.values()),
        "billed": sorted(billed.items()),
        "saved_bytes": sum(figures.saved_bytes for _, figures in accounts),
        "baseline_bytes": sum(figures.baseline_bytes for _, figures in accounts),
        "trail": audit.trail(session, limit=AUDIT_ROWS),
    }
