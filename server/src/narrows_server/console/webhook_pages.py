"""Webhooks: where events are sent, each delivery of them, and sending one again. A customer's are of its own events."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access.roles import Action
from narrows_server.console.gate import Posted
from narrows_server.console.room import Room, entering, require_name
from narrows_server.errors import Invalid
from narrows_server.webhooks import service
from narrows_server.webhooks.models import Webhook
from narrows_server.webhooks.outbox import ALL, CATALOGUE

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

Reads = Annotated[Room, entering(Action.WEBHOOKS_READ)]
Writes = Annotated[Room, entering(Action.WEBHOOKS_WRITE)]


@router.get("")
def list_webhooks(room: Reads) -> Response:
    return _list(room)


@router.post("")
def add(room: Writes, form: Posted) -> Response:
    """The page that answers is the only one that shows the secret."""
    types = [name.removeprefix("type-") for name in form if name.startswith("type-")]
    try:
        with room.office.database.transaction() as session:
            webhook, secret = service.add(
                session,
                form.get("url", "").strip(),
                types=types or [ALL],
                customer_id=room.caller.customer_id,
                console_secret=room.office.keyring.console_secret,
                is_development=room.office.settings.is_development,
                occasion=room.occasion,
            )
    except Invalid as error:
        return _list(room, problem=error.detail, status=error.status, filled=form)
    return room.page("webhook_secret.html", webhook=webhook, secret=secret)


@router.get("/{webhook_id}")
def show(webhook_id: str, room: Reads) -> Response:
    return _page(room, webhook_id)


@router.post("/{webhook_id}/test")
def test(webhook_id: str, room: Writes, form: Posted) -> Response:
    return _change(room, webhook_id, "tested", lambda session, one: service.test(session, one, occasion=room.occasion))


@router.post("/{webhook_id}/disable")
def disable(webhook_id: str, room: Writes, form: Posted) -> Response:
    return _change(
        room,
        webhook_id,
        "webhook-off",
        lambda session, one: service.disable(session, one, because="by hand", occasion=room.occasion),
    )


@router.post("/{webhook_id}/enable")
def enable(webhook_id: str, room: Writes, form: Posted) -> Response:
    return _change(
        room, webhook_id, "webhook-on", lambda session, one: service.enable(session, one, occasion=room.occasion)
    )


@router.post("/{webhook_id}/rotate")
def rotate(webhook_id: str, room: Writes, form: Posted) -> Response:
    with room.office.database.transaction() as session:
        webhook = service.require_webhook(session, webhook_id, room.caller)
        secret = service.rotate_secret(
            session, webhook, console_secret=room.office.keyring.console_secret, occasion=room.occasion
        )
    return room.page("webhook_secret.html", webhook=webhook, secret=secret)


@router.post("/{webhook_id}/remove")
def remove(webhook_id: str, room: Writes, form: Posted) -> Response:
    try:
        with room.office.database.transaction() as session:
            webhook = service.require_webhook(session, webhook_id, room.caller)
            require_name(form, webhook.id)
            service.remove(session, webhook, occasion=room.occasion)
    except Invalid as error:
        return _page(room, webhook_id, problem=error.detail, status=error.status)
    return room.to("/webhooks", "webhook-gone")


@router.post("/deliveries/{delivery_id}/replay")
def replay(delivery_id: str, room: Writes, form: Posted) -> Response:
    """With the same id: a receiver that has it already can tell."""
    with room.office.database.snapshot() as session:
        webhook_id = service.require_delivery(session, delivery_id, room.caller).webhook_id
    return _change(
        room,
        webhook_id,
        "replayed",
        lambda session, _: service.replay(
            session, service.require_delivery(session, delivery_id, room.caller), occasion=room.occasion
        ),
    )


def _change(room: Room, webhook_id: str, done: str, act: Callable[[Session, Webhook], object]) -> Response:
    try:
        with room.office.database.transaction() as session:
            act(session, service.require_webhook(session, webhook_id, room.caller))
    except Invalid as error:
        return _page(room, webhook_id, problem=error.detail, status=error.status)
    return room.to(f"/webhooks/{webhook_id}", done)


def _list(
    room: Room, *, problem: str | None = None, status: int = 200, filled: Mapping[str, str] | None = None
) -> Response:
    with room.office.database.snapshot() as session:
        page = service.webhook_page(session, room.at, customer_id=room.caller.customer_id)
        return room.page(
            "webhooks.html",
            status=status,
            problem=problem,
            filled=filled or {},
            webhooks=page.rows,
            page=page,
            catalogue=CATALOGUE,
        )


def _page(room: Room, webhook_id: str, *, problem: str | None = None, status: int = 200) -> Response:
    with room.office.database.snapshot() as session:
        webhook = service.require_webhook(session, webhook_id, room.caller)
        page = service.delivery_page(session, room.at, webhook_id=webhook.id)
        rows = [(one, json.dumps(json.loads(one.event.body), indent=2, ensure_ascii=False)) for one in page.rows]
        return room.page(
            "webhook.html", status=status, problem=problem, webhook=webhook, deliveries=rows, page=page, everything=ALL
        )
