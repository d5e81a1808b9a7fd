"""
Errors as HTTP answers: `application/problem+json` (RFC 9457) with a stable code and the id of the request.

The only place that knows how an error looks on the wire. Text of unexpected errors stays in the log.
"""

from __future__ import annotations

import http
import secrets
from collections.abc import Mapping
from typing import Protocol

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError, OperationalError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from narrows_server.errors import Invalid, ServerError, TooManyAttempts

MEDIA_TYPE = "application/problem+json"
REQUEST_ID_HEADER = "X-Request-Id"
RETRY_AFTER_SECONDS = 5

# Codes that no class of `errors` has: expected outcomes of one endpoint, and what the framework refuses.
OTHER_CODES = {
    "gap": (409, "Records are missing before this report", "The SDK sends them, and then this report again."),
    "conflict": (
        409,
        "This installation has reported something else before",
        "Its machine was copied or restored from a backup; the SDK goes on under a new name.",
    ),
    "no_seat": (409, "Every seat is taken", "As many encodes run as the floating license permits at once."),
    "borrowed_too_long": (422, "A seat is not lent for so long", "The license says for how many days."),
    "bad_request": (400, "Bad Request", "The request itself cannot be read."),
    "method_not_allowed": (405, "Method Not Allowed", "The path exists, and this method of it does not."),
    "busy": (
        503,
        "The server is busy",
        "The database did not answer in time. Nothing was changed; send the same request again.",
    ),
}


class RequestIds:
    """Gives every request an id, in its state and in the header of its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # Our own, never the caller's: an id that strangers choose can be made to collide in the logs.
        request_id = f"req_{secrets.token_hex(8)}"
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        await self.app(scope, receive, send_with_id)


def problem(
    request: Request,
    *,
    status: int,
    code: str,
    title: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, int | str] | None = None,
) -> JSONResponse:
    """A problem document; *members* are what a program needs to act on it, such as the number that was expected."""
    headers = dict(headers or {})
    if status == http.HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    body = {
        "type": f"urn:narrows:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request.state.request_id,
        **(members or {}),
    }
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def answer(
    request: Request,
    *,
    status: int,
    code: str,
    title: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document, or a page for whoever looks at pages."""
    notice = getattr(request.app.state, "notice", None)
    is_page = not request.url.path.startswith("/v1") and "text/html" in request.headers.get("accept", "")
    if notice is None or not is_page:
        return problem(request, status=status, code=code, title=title, detail=detail, headers=headers)
    response: Response = notice(request, status=status, title=title, detail=detail)
    response.headers.update(headers or {})
    return response


def error_response(request: Request, error: ServerError, *, headers: Mapping[str, str] | None = None) -> Response:
    """*error* as the answer to *request*."""
    return answer(
        request, status=error.status, code=error.code, title=error.title, detail=error.detail, headers=headers
    )


class Notice(Protocol):
    """Draws the page that says why there is no other."""

    def __call__(self, request: Request, *, status: int, title: str, detail: str) -> Response: ...


def install(app: FastAPI, *, notice: Notice | None = None) -> None:
    """Make *app* answer every error with a problem document, and with a *notice* where people look at pages."""
    app.state.notice = notice
    app.add_exception_handler(ServerError, _server_error)
    app.add_exception_handler(RequestValidationError, _request_invalid)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(OperationalError, _database_busy)
    app.add_exception_handler(DataError, _not_storable)
    app.add_exception_handler(Exception, _unexpected)


def _server_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServerError)
    headers = {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, TooManyAttempts) else None
    return error_response(request, error, headers=headers)


def _request_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    detail = f"{where}: {first['msg']}"
    return answer(request, status=422, code="invalid", title="The request is not as it must be", detail=detail)


def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = http.HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_")
    is_unknown_path = error.status_code == http.HTTPStatus.NOT_FOUND and error.detail == phrase
    detail = "there is nothing at this address" if is_unknown_path else str(error.detail)
    headers = dict(error.headers or {})
    methods_of = getattr(request.app.state, "methods_of", None)
    if error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED and methods_of is not None:
        # The framework names only those of the route that it met first.
        headers["Allow"] = ", ".join(sorted(methods_of(request.url.path)))
    return answer(
        request, status=error.status_code, code=code, title=phrase.capitalize(), detail=detail, headers=headers
    )


def _database_busy(request: Request, error: Exception) -> Response:
    return answer(
        request,
        status=503,
        code="busy",
        title="The server is busy",
        detail="The database did not answer in time. Nothing was changed; send the same request again.",
    )


def _not_storable(request: Request, error: Exception) -> Response:
    detail = "a value has characters or a size that the database cannot hold"
    return answer(request, status=422, code="invalid", title=Invalid.title, detail=detail)


def _unexpected(request: Request, error: Exception) -> Response:
    return answer(
        request,
        status=500,
        code="internal",
        title="The server failed",
        detail="This is a fault of the server and has been logged. Quote the request id when you ask about it.",
    )
