"""
What every endpoint needs of its request: the office, who asks and whether they may, a bounded body, and an effect
that happens once.

    caller: Annotated[Caller, allowed(Action.LICENSES_READ)]     reads; sessions of the console and API keys alike
    change: Annotated[Change, changing(Action.LICENSES_WRITE)]   changes something, once for each idempotency key
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from narrows_server import idempotency
from narrows_server.access import api_keys
from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.audit import Occasion
from narrows_server.errors import FormRefused, ReportTooLarge, ServerError, SignInRequired
from narrows_server.idempotency import Answer, Asked
from narrows_server.office import Office
from narrows_server.paging import CURSOR_CHARACTERS_MAX, PAGE_ROWS, PAGE_ROWS_MAX, Paging
from narrows_server.people import sessions
from narrows_server.people.visitor import find_visitor

FORM_TOKEN_HEADER = "X-CSRF-Token"  # noqa: S105 - the name of a header


def _paging(
    cursor: Annotated[
        str | None,
        Query(
            max_length=CURSOR_CHARACTERS_MAX, description="`next_cursor` of the page before; leave out for the first."
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_ROWS_MAX, description="How many items at most.")] = PAGE_ROWS,
) -> Paging:
    return Paging(cursor=cursor, limit=limit)


PagingOf = Annotated[Paging, Depends(_paging)]


def _office(request: Request) -> Office:
    office = request.app.state.office
    assert isinstance(office, Office)
    return office


OfficeOf = Annotated[Office, Depends(_office)]


async def _request_hash(request: Request) -> str:
    body = hashlib.sha256(await request.body()).hexdigest()
    return hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n{body}".encode()).hexdigest()


class Permit:
    """Lets through who may take *action*. The same object tells the description of the API and the tests what it is."""

    def __init__(self, action: Action) -> None:
        self.action = action

    def __call__(self, request: Request, office: OfficeOf) -> Caller:
        caller = find_caller(request, office)
        if caller is None:
            raise SignInRequired("send an API key as `Authorization: Bearer …`, or sign in to the console")
        caller.require(self.action)
        request.state.caller = caller
        return caller


class ChangePermit(Permit):
    """A `Permit` for requests that change something."""

    def __call__(  # type: ignore[override]  # FastAPI calls it with what its own signature asks for.
        self,
        request: Request,
        office: OfficeOf,
        request_hash: Annotated[str, Depends(_request_hash)],
        idempotency_key: Annotated[
            str | None,
            Header(
                alias=idempotency.HEADER,
                min_length=1,
                max_length=idempotency.KEY_CHARACTERS_MAX,
                pattern=r"^[\x21-\x7e]+$",
                description="Send the same request with the same key again after a timeout: it has its effect once.",
            ),
        ] = None,
    ) -> Change:
        caller = super().__call__(request, office)
        if "Authorization" not in request.headers:
            # A browser sends its cookie whether its owner means it or not; this header only a page of ours can send.
            cookie, token = request.cookies.get(sessions.COOKIE, ""), request.headers.get(FORM_TOKEN_HEADER, "")
            if not sessions.is_form_token(office.keyring.console_secret, cookie, token):
                raise FormRefused(f"with a session, a change takes the header {FORM_TOKEN_HEADER}; or send an API key")
        return Change(office=office, caller=caller, key=idempotency_key, request_hash=request_hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A permitted request that changes something."""

    office: Office
    caller: Caller
    key: str | None
    request_hash: str

    def once(self, act: Callable[[Session, Occasion], BaseModel | None], *, status: int = 200) -> Response:
        """
        What *act* gives, as JSON, after its transaction is committed; what it gave before, if the idempotency key says
        so. Raises `IdempotencyKeyReused`, and what *act* raises.
        """
        if self.key is None:
            with self.office.database.transaction() as session:
                return _response(_answer(act(session, self.occasion()), status))
        asked = Asked(
            actor=self.caller.actor,
            key=self.key,
            request_hash=self.request_hash,
            secret=self.office.keyring.console_secret,
        )
        try:
            return self._once(asked, act, status)
        except IntegrityError:
            # Another request with this key committed while we waited for it; now it is there to be found.
            return self._once(asked, act, status)

    def occasion(self) -> Occasion:
        """Now, and the caller."""
        return Occasion(actor=self.caller.actor, at=self.office.clock(), human=self.caller.human)

    def _once(self, asked: Asked, act: Callable[[Session, Occasion], BaseModel | None], status: int) -> Response:
        occasion = self.occasion()
        with self.office.database.transaction() as session:
            before = idempotency.find_answer(session, asked, at=occasion.at)
            if before is not None:
                return _response(before, is_replayed=True)
            claimed = idempotency.claim(session, asked, at=occasion.at)
            answer = _answer(act(session, occasion), status)
            idempotency.keep_answer(claimed, asked, answer)
        return _response(answer)


def find_caller(request: Request, office: Office) -> Caller | None:
    """Who asks, by API key or by session; None for strangers."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return _key_caller(office, key.strip())
    visitor = find_visitor(request, office)
    return visitor.caller if visitor is not None and visitor.is_complete else None


def allowed(action: Action) -> Any:
    """For `Annotated[Caller, allowed(Action.…)]`: whoever may take *action*."""
    return Depends(Permit(action))


def changing(action: Action) -> Any:
    """For `Annotated[Change, changing(Action.…)]`: whoever may take *action*, and the change that they ask for."""
    return Depends(ChangePermit(action))


async def read_body(request: Request, *, bytes_max: int, too_large: type[ServerError] = ReportTooLarge) -> bytes:
    """The body, read no further than *bytes_max*. Raises *too_large*."""
    said = request.headers.get("content-length", "0")
    if said.isdecimal() and int(said[:20]) > bytes_max:
        raise too_large(f"the body has more than {bytes_max} bytes")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise too_large(f"the body has more than {bytes_max} bytes")
    return bytes(body)


def _key_caller(office: Office, key: str) -> Caller | None:
    now = office.clock()
    with office.database.snapshot() as session:
        caller = api_keys.find_caller(session, key, at=now)
        needs_note = caller is not None and api_keys.needs_note(session, key, at=now)
    if needs_note:
        with office.database.transaction() as session:
            api_keys.note_use(session, key, at=now)
    return caller


def _answer(result: BaseModel | None, status: int) -> Answer:
    return Answer(status=status, body="" if result is None else result.model_dump_json())


def _response(answer: Answer, *, is_replayed: bool = False) -> Response:
    headers = {"Cache-Control": "no-store"}
    if is_replayed:
        headers[idempotency.REPLAYED_HEADER] = "true"
    media_type = "application/json" if answer.body else None
    return Response(
        answer.body, status_code=answer.status if answer.body else 204, media_type=media_type, headers=headers
    )


# For what belongs to no customer and to no other action yet: the vendor's own people and programs.
Reader = allowed(Action.BOOKS_READ)
