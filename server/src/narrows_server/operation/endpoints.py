"""Probes and metrics: for whoever keeps the server running, not a part of the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from narrows_server import __version__, schema
from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.errors import ClockInDoubt, NotInitialised
from narrows_server.operation.observing import Metrics
from narrows_server.web import OfficeOf, allowed

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """Whether the server can do its work."""

    status: str  # "ok", or why not.
    version: str


@router.get("/live", summary="Whether the process answers", include_in_schema=False)
def live() -> Health:
    """For a liveness probe: it asks nothing else, so a database that is away does not get the server restarted."""
    return Health(status="ok", version=__version__)


@router.get("/health", summary="Whether the server and its database can do their work", response_model=Health)
def health(office: OfficeOf) -> Response:
    """For a readiness probe: 503 while the database is away or not at this release's schema, or the clock in doubt."""
    try:
        office.clock()
        with office.database.snapshot() as session:
            session.execute(text("SELECT 1"))
        schema.require_current(office.database)
    except SQLAlchemyError:
        return _unready("the database does not answer")
    except (NotInitialised, ClockInDoubt) as error:
        return _unready(error.detail)
    return JSONResponse(Health(status="ok", version=__version__).model_dump())


@router.get("/metrics", summary="Metrics for Prometheus", include_in_schema=False)
def metrics(request: Request, caller: Annotated[Caller, allowed(Action.BOOKS_READ)]) -> Response:
    """In the format that the scraper asks for; give it an API key with the scope `books:read`."""
    of_app: Metrics = request.app.state.metrics
    encode, media_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(of_app.registry), media_type=media_type)


def _unready(status: str) -> Response:
    return JSONResponse(Health(status=status, version=__version__).model_dump(), status_code=503)
