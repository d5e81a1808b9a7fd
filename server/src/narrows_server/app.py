"""The web application over an opened office. Assembles; decides nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from sqlalchemy import text

from narrows_server import __version__, problems
from narrows_server.console import pages
from narrows_server.invoices import endpoints as invoices
from narrows_server.leases import endpoints as leases
from narrows_server.licenses import endpoints as licenses
from narrows_server.office import Office
from narrows_server.statements import endpoints as statements
from narrows_server.transparency import endpoints as transparency
from narrows_server.transparency.service import Merger
from narrows_server.usage import endpoints as usage
from narrows_server.web import OfficeOf


class Health(BaseModel):
    """The server answers, and so does its database."""

    status: str
    version: str


def create_app(office: Office) -> FastAPI:
    """The application that answers for *office*; who opened the office closes it."""
    # The interactive pages of the framework load scripts from a public network; the description itself stays.
    app = FastAPI(
        title="Narrows server",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_merging,
    )
    app.state.office = office
    problems.install(app)
    for part in (usage, transparency, licenses, leases, statements, invoices):
        app.include_router(part.router)
    app.include_router(pages.router, include_in_schema=False)
    app.mount("/static", StaticFiles(packages=[("narrows_server.console", "static")]), name="static")
    app.get("/health", summary="Whether the server and its database answer", tags=["operation"])(_health)
    app.add_middleware(problems.RequestIds)
    return app


@asynccontextmanager
async def _merging(app: FastAPI) -> AsyncIterator[None]:
    """Keep merging the transparency log while the server runs; whoever only calls the application merges himself."""
    merger = Merger(app.state.office.database)
    await run_in_threadpool(merger.start)
    try:
        yield
    finally:
        await run_in_threadpool(merger.stop)


def _health(office: OfficeOf) -> Health:
    with office.database.snapshot() as session:
        session.execute(text("SELECT 1"))
    return Health(status="ok", version=__version__)
