"""Webhooks and their deliveries: of the vendor, and of each customer for its own events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.audit import Occasion
from narrows_server.paging import Page
from narrows_server.web import Change, OfficeOf, PagingOf, allowed, changing
from narrows_server.webhooks import service
from narrows_server.webhooks.models import Webhook
from narrows_server.webhooks.schemas import DeliveryOut, WebhookIn, WebhookOut, WebhookSecretOut

router = APIRouter(prefix="/v1", tags=["webhooks"])

Reads = Annotated[Caller, allowed(Action.WEBHOOKS_READ)]
Changes = Annotated[Change, changing(Action.WEBHOOKS_WRITE)]


@router.get("/webhooks", summary="Webhooks, newest first")
def list_webhooks(office: OfficeOf, caller: Reads, at: PagingOf) -> Page[WebhookOut]:
    with office.database.snapshot() as session:
        page = service.webhook_page(session, at, customer_id=caller.customer_id)
        return Page(items=[WebhookOut.of(webhook) for webhook in page.rows], next_cursor=page.next_cursor)


@router.post("/webhooks", status_code=201, response_model=WebhookSecretOut, summary="Add a webhook")
def add_webhook(order: WebhookIn, change: Changes) -> Response:
    """The answer is the only place where the secret can be seen. Private addresses are refused, also when sending."""

    def add(session: Session, occasion: Occasion) -> WebhookSecretOut:
        webhook, secret = service.add(
            session,
            order.url,
            types=order.types,
            customer_id=change.caller.customer_id,
            console_secret=change.office.keyring.console_secret,
            is_development=change.office.settings.is_development,
            occasion=occasion,
        )
        return _with_secret(webhook, secret)

    return change.once(add, status=201)


@router.get("/webhooks/{webhook_id}", summary="One webhook")
def get_webhook(webhook_id: str, office: OfficeOf, caller: Reads) -> WebhookOut:
    with office.database.snapshot() as session:
        return WebhookOut.of(service.require_webhook(session, webhook_id, caller))


@router.delete("/webhooks/{webhook_id}", status_code=204, response_class=Response, summary="Remove a webhook")
def remove_webhook(webhook_id: str, change: Changes) -> Response:
    def remove(session: Session, occasion: Occasion) -> None:
        webhook = service.require_webhook(session, webhook_id, change.caller)
        service.remove(session, webhook, occasion=occasion)

    return change.once(remove, status=204)


@router.post(
    "/webhooks/{webhook_id}/rotate-secret", response_model=WebhookSecretOut, summary="Give a webhook another secret"
)
def rotate_webhook_secret(webhook_id: str, change: Changes) -> Response:
    """For a day every event is signed with the old one as well."""

    def rotate(session: Session, occasion: Occasion) -> WebhookSecretOut:
        webhook = service.require_webhook(session, webhook_id, change.caller)
        secret = service.rotate_secret(
            session, webhook, console_secret=change.office.keyring.console_secret, occasion=occasion
        )
        return _with_secret(webhook, secret)

    return change.once(rotate)


@router.post("/webhooks/{webhook_id}/disable", response_model=WebhookOut, summary="Send a webhook nothing more")
def disable_webhook(webhook_id: str, change: Changes) -> Response:
    def disable(session: Session, occasion: Occasion) -> WebhookOut:
        webhook = service.require_webhook(session, webhook_id, change.caller)
        service.disable(session, webhook, because="by hand", occasion=occasion)
        return WebhookOut.of(webhook)

    return change.once(disable)


@router.post("/webhooks/{webhook_id}/enable", response_model=WebhookOut, summary="Send a webhook events again")
def enable_webhook(webhook_id: str, change: Changes) -> Response:
    def enable(session: Session, occasion: Occasion) -> WebhookOut:
        webhook = service.require_webhook(session, webhook_id, change.caller)
        service.enable(session, webhook, occasion=occasion)
        return WebhookOut.of(webhook)

    return change.once(enable)


@router.post("/webhooks/{webhook_id}/test", response_model=DeliveryOut, summary="Send a webhook a test")
def test_webhook(webhook_id: str, change: Changes) -> Response:
    """An event of the type `webhook.tested`; where it stands is among the deliveries."""

    def test(session: Session, occasion: Occasion) -> DeliveryOut:
        webhook = service.require_webhook(session, webhook_id, change.caller)
        return DeliveryOut.of(service.test(session, webhook, occasion=occasion))

    return change.once(test)


@router.get("/webhooks/{webhook_id}/deliveries", summary="Deliveries of a webhook, newest first")
def list_webhook_deliveries(webhook_id: str, office: OfficeOf, caller: Reads, at: PagingOf) -> Page[DeliveryOut]:
    with office.database.snapshot() as session:
        webhook = service.require_webhook(session, webhook_id, caller)
        page = service.delivery_page(session, at, webhook_id=webhook.id)
        return Page(items=[DeliveryOut.of(delivery) for delivery in page.rows], next_cursor=page.next_cursor)


@router.post("/deliveries/{delivery_id}/replay", response_model=DeliveryOut, summary="Send an event again")
def replay_delivery(delivery_id: str, change: Changes) -> Response:
    """With the same `Webhook-Id`: a receiver that has it already can tell."""

    def replay(session: Session, occasion: Occasion) -> DeliveryOut:
        delivery = service.require_delivery(session, delivery_id, change.caller)
        service.replay(session, delivery, occasion=occasion)
        return DeliveryOut.of(delivery)

    return change.once(replay)


def _with_secret(webhook: Webhook, secret: str) -> WebhookSecretOut:
    return WebhookSecretOut(secret=secret, **WebhookOut.of(webhook).model_dump())
