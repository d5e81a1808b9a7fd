"""API keys: nobody can hand on more than they may do themselves."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access import api_keys
from narrows_server.access.caller import Caller
from narrows_server.access.roles import PERMISSIONS, Action, Role
from narrows_server.access.schemas import ApiKeyIn, ApiKeyMadeOut, ApiKeyOut
from narrows_server.audit import Occasion
from narrows_server.customers.service import require_customer
from narrows_server.errors import NotPermitted
from narrows_server.paging import Page
from narrows_server.web import Change, OfficeOf, PagingOf, allowed, changing

router = APIRouter(prefix="/v1/api-keys", tags=["API keys"])

Reads = Annotated[Caller, allowed(Action.API_KEYS_READ)]
Changes = Annotated[Change, changing(Action.API_KEYS_WRITE)]


@router.get("", summary="API keys, newest first")
def list_api_keys(office: OfficeOf, caller: Reads, at: PagingOf) -> Page[ApiKeyOut]:
    with office.database.snapshot() as session:
        page = api_keys.list_keys(session, at, customer_id=caller.customer_id)
        return Page(items=[ApiKeyOut.of(key) for key in page.rows], next_cursor=page.next_cursor)


@router.post("", status_code=201, response_model=ApiKeyMadeOut, summary="Make an API key")
def make_api_key(order: ApiKeyIn, change: Changes) -> Response:
    """The answer is the only place where the key can be seen."""

    def make(session: Session, occasion: Occasion) -> ApiKeyMadeOut:
        customer_id = _customer_of(session, order, change.caller)
        key, text = api_keys.make(
            session,
            name=order.name,
            scopes=_scopes_of(order, change.caller, customer_id),
            human=occasion.person,
            occasion=occasion,
            customer_id=customer_id,
            expires_at=order.expires_at and order.expires_at.astimezone(UTC),
        )
        return ApiKeyMadeOut.made(key, text)

    return change.once(make, status=201)


@router.get("/{key_id}", summary="One API key")
def get_api_key(key_id: str, office: OfficeOf, caller: Reads) -> ApiKeyOut:
    with office.database.snapshot() as session:
        return ApiKeyOut.of(api_keys.require_key(session, key_id, caller))


@router.post("/{key_id}/rotate", response_model=ApiKeyMadeOut, summary="Give an API key a new secret")
def rotate_api_key(key_id: str, change: Changes) -> Response:
    """The old one opens for a day more, so that it can be replaced where it is used."""

    def rotate(session: Session, occasion: Occasion) -> ApiKeyMadeOut:
        key = api_keys.require_key(session, key_id, change.caller)
        if not api_keys.scopes_of(key) <= change.caller.actions:
            raise NotPermitted("this key may do more than you; whoever may do as much rotates it")
        return ApiKeyMadeOut.made(key, api_keys.rotate(session, key, occasion=occasion))

    return change.once(rotate)


@router.post("/{key_id}/revoke", response_model=ApiKeyOut, summary="Revoke an API key")
def revoke_api_key(key_id: str, change: Changes) -> Response:
    """From then on it opens nothing. Again changes nothing."""

    def revoke(session: Session, occasion: Occasion) -> ApiKeyOut:
        key = api_keys.require_key(session, key_id, change.caller)
        api_keys.revoke(session, key, occasion=occasion)
        return ApiKeyOut.of(key)

    return change.once(revoke)


def _customer_of(session: Session, order: ApiKeyIn, caller: Caller) -> str | None:
    if order.customer_id is None:
        return caller.customer_id
    caller.require_own(order.customer_id, f"customer {order.customer_id}")
    return require_customer(session, order.customer_id).id


def _scopes_of(order: ApiKeyIn, caller: Caller, customer_id: str | None) -> frozenset[Action]:
    scopes = frozenset(order.scopes)
    may_hand_on = caller.actions if caller.customer_id == customer_id else PERMISSIONS[Role.CUSTOMER]
    beyond = sorted(scopes - may_hand_on)
    if beyond:
        raise NotPermitted(f"you cannot hand on {', '.join(beyond)}")
    return scopes
