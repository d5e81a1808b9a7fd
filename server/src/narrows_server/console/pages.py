"""
The console: one page over everything, server-rendered, without scripts.

It reads and never changes anything; what changes things is the command line. To sign in is to show the admin key
once; what stays in the browser is a signed cookie that no script and no other site can use.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from narrows_licensing.verdict import explain
from sqlalchemy.orm import Session

from narrows_server import __version__, audit, auth, wording
from narrows_server.access import api_keys
from narrows_server.errors import Invalid
from narrows_server.invoices import repository as invoices
from narrows_server.licenses import repository as licenses
from narrows_server.licenses.service import state
from narrows_server.office import Office
from narrows_server.parties.service import default_entity
from narrows_server.statements import repository as statements
from narrows_server.statements.figures import read_figures
from narrows_server.usage import repository as usage
from narrows_server.usage.alarms import alarms, missing
from narrows_server.usage.service import standing
from narrows_server.web import OfficeOf, is_signed_in, read_body

FORM_BYTES_MAX = 4096
AUDIT_ROWS = 12
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter()
_templates = Environment(
    loader=PackageLoader("narrows_server.console"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(
    money=wording.money,
    volume=wording.volume,
    exact=wording.exact,
    per_cent=wording.per_cent,
    moment=wording.moment,
    month=wording.month,
    missing=missing,
    standing=standing,
    explain=explain,
    version=__version__,
)


@router.get("/")
def get_overview(request: Request, office: OfficeOf) -> Response:
    if not is_signed_in(request, office):
        return _page("sign_in.html", is_wrong=False)
    with office.database.snapshot() as session:
        return _page("overview.html", **_overview(session, office))


@router.post("/sign-in")
async def post_sign_in(request: Request, office: OfficeOf) -> Response:
    body = await read_body(request, bytes_max=FORM_BYTES_MAX, too_large=Invalid)
    key = parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0].strip()
    if not await run_in_threadpool(_is_key, office, key):
        return _page("sign_in.html", status=401, is_wrong=True)
    response = RedirectResponse("/", status_code=303, headers=HEADERS)
    response.set_cookie(
        auth.COOKIE,
        auth.session_cookie(office.keyring.console_secret, at=office.clock()),
        max_age=int(auth.SESSION_LIFETIME.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/sign-out")
def post_sign_out() -> Response:
    response = RedirectResponse("/", status_code=303, headers=HEADERS)
    response.delete_cookie(auth.COOKIE, httponly=True, samesite="strict")
    return response


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
        "alarms": alarms(installations, usage.list_gaps(session), at=now),
        "accounts": [(row, figures, numbers.get(row.id)) for row, figures in accounts],
        "held": [outcome for outcome in statements.list_outcomes(session) if outcome.result == "held"],
        "invoices": list(numbers.values()),
        "billed": sorted(billed.items()),
        "saved_bytes": sum(figures.saved_bytes for _, figures in accounts),
        "baseline_bytes": sum(figures.baseline_bytes for _, figures in accounts),
        "trail": audit.trail(session, limit=AUDIT_ROWS),
    }


def _is_key(office: Office, key: str) -> bool:
    with office.database.snapshot() as session:
        return api_keys.find_caller(session, key, at=office.clock()) is not None


def _page(name: str, *, status: int = 200, **values: object) -> HTMLResponse:
    return HTMLResponse(_templates.get_template(name).render(**values), status_code=status, headers=HEADERS)
