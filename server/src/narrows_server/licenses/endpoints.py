"""Licenses for those who may read, and a customer's log for whoever holds one of its licenses."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, Response
from narrows_licensing.signature import TOKEN_BYTES_MAX

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.errors import Invalid
from narrows_server.licenses import repository
from narrows_server.licenses.log import license_log_for
from narrows_server.licenses.schemas import LicenseOut
from narrows_server.licenses.service import require_license
from narrows_server.office import Office
from narrows_server.paging import Page
from narrows_server.web import OfficeOf, PagingOf, allowed, read_body

router = APIRouter(prefix="/v1", tags=["licenses"])


Reads = Annotated[Caller, allowed(Action.LICENSES_READ)]


@router.get("/licenses", summary="Licenses, newest first")
def list_licenses(office: OfficeOf, caller: Reads, at: PagingOf) -> Page[LicenseOut]:
    with office.database.snapshot() as session:
        page = repository.license_page(session, at, customer_id=caller.customer_id)
        items = [LicenseOut.of(issued, office.clock()) for issued in page.rows]
        return Page(items=items, next_cursor=page.next_cursor)


@router.get("/licenses/{license_id}", summary="One license, without the license itself")
def get_license(license_id: str, office: OfficeOf, caller: Reads) -> LicenseOut:
    with office.database.snapshot() as session:
        issued = require_license(session, license_id)
        caller.require_own(issued.customer_id, f"license {license_id}")
        return LicenseOut.of(issued, office.clock())


@router.post(
    "/license-log",
    summary="Everything ever signed in the name of a license's customer",
    responses={404: {}, 422: {}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"text/plain": {"schema": {"type": "string", "description": "The token of a license."}}},
        }
    },
)
async def read_license_log(request: Request, office: OfficeOf) -> Response:
    """
    The body is the token of a license, which only its customer has. The answer is the log with a head signed now and a
    proof for each entry, as `narrows license log` checks it. 404 if we never issued that license.
    """
    body = await read_body(request, bytes_max=TOKEN_BYTES_MAX, too_large=Invalid)
    text = await run_in_threadpool(_log, office, body.decode("ascii", "replace").strip())
    return PlainTextResponse(text, media_type="application/json", headers={"Cache-Control": "no-store"})


def _log(office: Office, token: str) -> str:
    with office.database.snapshot() as session:
        return license_log_for(session, token, keyring=office.keyring, at=office.clock())
