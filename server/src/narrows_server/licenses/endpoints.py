"""
Licenses for those who may read, and a customer's log for whoever holds one of its licenses.

They are issued at the command line only, where the keys are.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, Response
from narrows_licensing.signature import TOKEN_BYTES_MAX

from narrows_server.errors import Invalid
from narrows_server.licenses import repository
from narrows_server.licenses.log import license_log_for
from narrows_server.licenses.schemas import LicenseOut, LicensesOut
from narrows_server.office import Office
from narrows_server.web import OfficeOf, Reader, read_body

router = APIRouter(prefix="/v1", tags=["licenses"])


@router.get("/licenses", dependencies=[Reader], summary="Licenses, newest first")
def get_licenses(office: OfficeOf) -> LicensesOut:
    with office.database.snapshot() as session:
        return LicensesOut(
            items=[LicenseOut.of(issued, office.clock()) for issued in repository.list_licenses(session)]
        )


@router.post("/license-log", summary="Everything ever signed in the name of a license's customer")
async def post_license_log(request: Request, office: OfficeOf) -> Response:
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
