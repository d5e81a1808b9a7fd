"""The web application over an opened office. Assembles; decides nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.routing import BaseRoute

from narrows_server import __version__, audit, audit_endpoints, problems
from narrows_server.access import endpoints as access
from narrows_server.alerts import endpoints as alerts
from narrows_server.alerts.service import look_around
from narrows_server.background import Repeating
from narrows_server.console import (
    account_pages,
    billing_pages,
    contract_pages,
    customer_pages,
    dashboard_pages,
    export_pages,
    installation_pages,
    invoice_pages,
    license_pages,
    month_pages,
    office_pages,
    people_pages,
    sign_in_pages,
    statement_pages,
    webhook_pages,
)
from narrows_server.console.closing import Closings
from narrows_server.console.gate import SeeOther
from narrows_server.console.rendering import notice, redirect
from narrows_server.contracts import endpoints as contracts
from narrows_server.description import describe
from narrows_server.exports import endpoints as exports
from narrows_server.invoices import endpoints as invoices
from narrows_server.journal import endpoints as journal
from narrows_server.leases import endpoints as leases
from narrows_server.licenses import change_endpoints as license_changes
from narrows_server.licenses import endpoints as licenses
from narrows_server.limits import BodyLimits, RateLimits
from narrows_server.office import Office
from narrows_server.operation import endpoints as operation
from narrows_server.operation.observing import Metrics, Observing
from narrows_server.parties import endpoints as parties
from narrows_server.payments import endpoints as payments
from narrows_server.people import endpoints as people
from narrows_server.people.sso import SingleSignOn
from narrows_server.proposals import endpoints as proposals
from narrows_server.rates import Rates
from narrows_server.statements import endpoints as statements
from narrows_server.transparency import endpoints as transparency
from narrows_server.transparency.service import MERGE_INTERVAL_SECONDS, merge
from narrows_server.usage import endpoints as usage
from narrows_server.usage import partitions
from narrows_server.webhooks import endpoints as webhooks
from narrows_server.webhooks.deliveries import Courier, deliver_due
from narrows_server.webhooks.sender import Sender

AUDIT_LINK_SECONDS = 2.0
DELIVER_SECONDS = 1.0
ALERT_SECONDS = 60.0
PARTITION_SECONDS = 3600.0
PARTS = (
    usage,
    transparency,
    licenses,
    license_changes,
    leases,
    contracts,
    statements,
    invoices,
    parties,
    payments,
    journal,
    exports,
    alerts,
    webhooks,
    proposals,
    people,
    access,
    audit_endpoints,
)
PAGES = (
    dashboard_pages,
    billing_pages,
    export_pages,
    webhook_pages,
    customer_pages,
    contract_pages,
    license_pages,
    installation_pages,
    statement_pages,
    invoice_pages,
    month_pages,
    office_pages,
    people_pages,
    sign_in_pages,
    account_pages,
)
# Their endpoints read the body themselves, and no further than a report, a request or a token may be long.
READ_BY_THEMSELVES = frozenset({"/v1/reports", "/v1/leases", "/v1/leases/give-back", "/v1/license-log"})


def create_app(
    office: Office,
    *,
    rates: Rates | None = None,
    single_sign_on: SingleSignOn | None = None,
    shared_metrics: Path | None = None,
) -> FastAPI:
    """
    The application that answers for *office*; who opened the office closes it.

    Without *rates* nobody is limited: who serves the world says how often it may ask. *single_sign_on* takes the place
    of what the settings say. *shared_metrics* is the folder in which one of several workers counts.
    """
    # The interactive pages of the framework load scripts from a public network; the description itself stays.
    app = FastAPI(
        title="Narrows server",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_working,
    )
    app.state.office = office
    app.state.single_sign_on = _single_sign_on(office) if single_sign_on is None else single_sign_on
    app.state.closings = Closings()
    problems.install(app, notice=notice)
    app.add_exception_handler(SeeOther, _see_other)
    app.router.routes += _routes()
    describe(app, [part.router for part in PARTS])
    # The last one is the outermost: whatever a limit refuses has a request id, too.
    app.add_middleware(BodyLimits, exempt=READ_BY_THEMSELVES)
    if rates is not None:
        app.add_middleware(RateLimits, rates=rates)
    app.state.metrics = Metrics(office, shared=shared_metrics)
    app.add_middleware(Observing, metrics=app.state.metrics)
    app.add_middleware(problems.RequestIds)
    return app


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """
    All that is answered, the same for every application of a process.

    The framework reads the signatures of all endpoints when the first request meets their router, which takes longer
    than most answers.
    """
    router = APIRouter()
    for part in PARTS:
        router.include_router(part.router)
    for part in PAGES:
        router.include_router(part.router, include_in_schema=False)
    router.mount("/static", StaticFiles(packages=[("narrows_server.console", "static")]), name="static")
    router.include_router(operation.router)
    return tuple(router.routes)


@asynccontextmanager
async def _working(app: FastAPI) -> AsyncIterator[None]:
    """What is done again and again while the server runs; whoever only calls the application does it himself."""
    office: Office = app.state.office
    database, courier = office.database, _courier(office)
    jobs = (
        Repeating(lambda: merge(database), seconds=MERGE_INTERVAL_SECONDS, name="merger"),
        Repeating(lambda: audit.link_all(database), seconds=AUDIT_LINK_SECONDS, name="audit"),
        Repeating(lambda: deliver_due(courier), seconds=DELIVER_SECONDS, name="webhooks"),
        Repeating(lambda: look_around(database, at=office.clock()), seconds=ALERT_SECONDS, name="alerts"),
        Repeating(lambda: _prepare_months(office), seconds=PARTITION_SECONDS, name="months", is_first_at_once=True),
    )
    # Before the first request is answered: a head must hold what was promised before a long standstill.
    await run_in_threadpool(merge, database)
    for job in jobs:
        await run_in_threadpool(job.start)
    try:
        yield
    finally:
        for job in jobs:
            await run_in_threadpool(job.stop)


def _courier(office: Office) -> Courier:
    return Courier(
        database=office.database,
        send=Sender(is_development=office.settings.is_development),
        console_secret=office.keyring.console_secret,
        clock=office.clock,
    )


def _prepare_months(office: Office) -> None:
    with office.database.transaction() as session:
        partitions.prepare(session, at=office.clock())


def _single_sign_on(office: Office) -> SingleSignOn | None:
    settings = office.settings.single_sign_on() if office is not None else None
    return None if settings is None else SingleSignOn(settings)


def _see_other(request: Request, error: Exception) -> Response:
    assert isinstance(error, SeeOther)
    return redirect(error.path)
