"""Requests for seats in, signed leases out; and the seats for those who may read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from narrows_licensing.lease_request import LEASE_REQUEST_BYTES_MAX, LeaseRequest
from narrows_licensing.pool import DRIFT, Full, TooLong
from narrows_licensing.verdict import Refused

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.errors import LeaseNotRead
from narrows_server.leases import repository, service
from narrows_server.leases.schemas import GivenBackOut, SeatOut
from narrows_server.leases.service import GivenBack, Leased
from narrows_server.office import Office
from narrows_server.paging import Page
from narrows_server.problems import problem
from narrows_server.web import OfficeOf, PagingOf, allowed, read_body

router = APIRouter(prefix="/v1", tags=["leases"])


_BODY = {
    "requestBody": {
        "required": True,
        "content": {"text/plain": {"schema": {"type": "string", "description": "A `narrows-lease-request+jwt`."}}},
    }
}


@router.post(
    "/leases",
    summary="Take a seat of a floating license, renew it, or borrow it",
    responses={400: {}, 403: {}, 409: {}, 422: {}},
    openapi_extra=_BODY,
)
async def take_lease(request: Request, office: OfficeOf) -> Response:
    """
    The body is a request signed by the installation (`narrows-lease-request+jwt`).

    200 with the lease; the same request again gives the same seat. 409 `no_seat` when every seat is taken, 403 with
    the reason when the license permits no encode.
    """
    asked = await _read(request)
    outcome = await run_in_threadpool(_lease, office, asked)
    match outcome:
        case Leased(document=document):
            return Response(document, media_type="application/json")
        case Full(permitted=permitted):
            return problem(
                request,
                status=409,
                code="no_seat",
                title="Every seat is taken",
                detail=f"all {permitted} seats of the license are taken; one is free when an encode ends",
                members={"seats": permitted},
            )
        case TooLong(borrow_max=longest):
            return problem(
                request,
                status=422,
                code="borrowed_too_long",
                title="A seat is not lent for so long",
                detail=f"the license lends a seat for {longest.days} days at most",
                members={"borrow_days_max": longest.days},
            )
        case Refused() as refused:
            return problem(
                request,
                status=403,
                code=refused.reason.value,
                title=refused.sentence,
                detail=refused.detail,
            )


@router.post(
    "/leases/give-back",
    response_model=GivenBackOut,
    summary="Give a seat back",
    responses={400: {}, 422: {}},
    openapi_extra=_BODY,
)
async def give_lease_back(request: Request, office: OfficeOf) -> Response:
    """The body is a request as for a lease that names the lease in `gives_back`. Again changes nothing."""
    asked = await _read(request)
    if asked.gives_back is None:
        raise LeaseNotRead("the request names no lease to give back")
    outcome = await run_in_threadpool(_free, office, asked)
    return JSONResponse(GivenBackOut(was_held=outcome.was_held).model_dump())


@router.get("/leases", summary="Seats that are taken, license by license")
def list_leases(
    office: OfficeOf, caller: Annotated[Caller, allowed(Action.LICENSES_READ)], at: PagingOf
) -> Page[SeatOut]:
    with office.database.snapshot() as session:
        page = repository.seat_page(session, at, expires_after=office.clock() - DRIFT, customer_id=caller.customer_id)
        return Page(items=[SeatOut.of(seat) for seat in page.rows], next_cursor=page.next_cursor)


async def _read(request: Request) -> LeaseRequest:
    body = await read_body(request, bytes_max=LEASE_REQUEST_BYTES_MAX, too_large=LeaseNotRead)
    try:
        return service.read_request(body.decode("ascii").strip())
    except UnicodeDecodeError as error:
        raise LeaseNotRead("the body is not a token") from error


def _lease(office: Office, asked: LeaseRequest) -> Leased | Full | TooLong | Refused:
    with office.database.transaction() as session:
        return service.lease(session, asked, keyring=office.keyring, at=office.clock())


def _free(office: Office, asked: LeaseRequest) -> GivenBack:
    with office.database.transaction() as session:
        return service.free(session, asked, keyring=office.keyring, at=office.clock())
