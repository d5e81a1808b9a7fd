"""Reports in, receipts out; and the installations for those who may read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from narrows_metering.report import REPORT_BYTES_MAX

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.errors import NotFound, ReportNotTrusted
from narrows_server.office import Office
from narrows_server.problems import problem
from narrows_server.usage import repository
from narrows_server.usage.schemas import InstallationOut, InstallationsOut, ReceiptOut
from narrows_server.usage.service import Accepted, Conflict, Gap, receive
from narrows_server.web import OfficeOf, PagingOf, allowed, read_body

SIGNATURE_HEADER = "Narrows-Signature"

router = APIRouter(prefix="/v1", tags=["usage"])


@router.post(
    "/reports",
    response_model=ReceiptOut,
    summary="Take in a signed usage report",
    responses={400: {}, 409: {}, 413: {}, 422: {}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        "parameters": [
            {
                "name": SIGNATURE_HEADER,
                "in": "header",
                "required": True,
                "description": "The detached JWS of the body by the installation's key.",
                "schema": {"type": "string"},
            }
        ],
    },
)
async def send_report(request: Request, office: OfficeOf) -> Response:
    """
    The body is the report (`application/octet-stream`), the header `Narrows-Signature` its detached JWS.

    200 with a signed receipt, for the same report always the same one. 409 `gap` with `expected_seq` when records are
    missing before the first. 409 `conflict` when record `seq` contradicts one that we hold: it is the first to do so,
    unless there is an `expected_seq` to send again from.
    """
    signature = request.headers.get(SIGNATURE_HEADER)
    if signature is None:
        raise ReportNotTrusted(f"the header {SIGNATURE_HEADER} is missing")
    body = await read_body(request, bytes_max=REPORT_BYTES_MAX)
    outcome = await run_in_threadpool(_take_in, office, body, signature)
    match outcome:
        case Accepted(receipt=receipt):
            return JSONResponse(ReceiptOut(receipt=receipt).model_dump())
        case Conflict(seq=seq, expected_seq=expected):
            # Members that a program acts on: with expected_seq it goes back there, without one it knows where to fork.
            members: dict[str, int] = {"seq": seq} if expected is None else {"seq": seq, "expected_seq": expected}
            return problem(
                request,
                status=409,
                code="conflict",
                title="This installation has reported something else before",
                detail=f"record {seq} contradicts the one we hold. Has this machine been copied or restored from "
                "a backup? Nothing of this report was counted"
                + ("" if expected is None else f". Send again from {expected} on to find the first that does"),
                members=members,
            )
        case Gap(expected_seq=expected, first_seq=first):
            return problem(
                request,
                status=409,
                code="gap",
                title="Records are missing before this report",
                detail=f"we hold every record up to {expected - 1}; send records from {expected} on, not from {first}",
                members={
                    "expected_seq": expected,
                    "complete_to": expected - 1,
                    "missing_first": expected,
                    "missing_last": first - 1,
                },
            )


def _take_in(office: Office, body: bytes, signature: str) -> Accepted | Conflict | Gap:
    return receive(office.database, body, signature, keyring=office.keyring, at=office.clock())


Reads = Annotated[Caller, allowed(Action.INSTALLATIONS_READ)]


@router.get("/installations", summary="Installations, their usage and what they lack; the newest first")
def list_installations(office: OfficeOf, caller: Reads, at: PagingOf) -> InstallationsOut:
    """With every open gap: also those of installations whose first record never came."""
    with office.database.snapshot() as session:
        page = repository.overview_page(session, at, customer_id=caller.customer_id)
        gaps = repository.list_gaps(session, customer_id=caller.customer_id)
        return InstallationsOut.of(page, gaps, heads=repository.heads(session, gaps), at=office.clock())


@router.get("/installations/{installation_id}", summary="One installation")
def get_installation(installation_id: str, office: OfficeOf, caller: Reads) -> InstallationOut:
    with office.database.snapshot() as session:
        overview = repository.get_overview(session, installation_id)
        if overview is None or not caller.owns(overview.installation.customer_id):
            raise NotFound(f"there is no installation {installation_id}")
        return InstallationOut.of(overview, at=office.clock())
