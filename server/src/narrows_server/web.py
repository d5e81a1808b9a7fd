"""What every endpoint needs of its request: the office, the caller's right to read, and a bounded body."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from narrows_server import auth
from narrows_server.errors import ReportTooLarge, ServerError, SignInRequired
from narrows_server.office import Office


def _office(request: Request) -> Office:
    office = request.app.state.office
    assert isinstance(office, Office)
    return office


OfficeOf = Annotated[Office, Depends(_office)]


def is_signed_in(request: Request, office: Office) -> bool:
    """Whether the request carries the console's cookie, still valid."""
    cookie = request.cookies.get(auth.COOKIE, "")
    return auth.is_session(office.keyring.console_secret, cookie, at=office.clock())


def require_reader(request: Request, office: OfficeOf) -> None:
    """
    Let through who shows the admin key or is signed in to the console. Raises `SignInRequired`.

    Only for requests that change nothing: a cookie is sent by the browser whether its owner means it or not.
    """
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        with office.database.snapshot() as session:
            if auth.is_key(session, key.strip()):
                return
    elif is_signed_in(request, office):
        return
    raise SignInRequired("send the admin key as `Authorization: Bearer …`")


Reader = Depends(require_reader)


async def read_body(request: Request, *, bytes_max: int, too_large: type[ServerError] = ReportTooLarge) -> bytes:
    """The body, read no further than *bytes_max*. Raises *too_large*."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise too_large(f"the body has more than {bytes_max} bytes")
    return bytes(body)
