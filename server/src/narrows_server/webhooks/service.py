"""Webhooks: added, given another secret, tested, disabled, removed."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.access.caller import Caller
from narrows_server.audit import Occasion
from narrows_server.errors import Invalid, NotFound
from narrows_server.identity import new_id
from narrows_server.paging import Paged, Paging, read_page
from narrows_server.sealing import box
from narrows_server.webhooks.addresses import check_url
from narrows_server.webhooks.models import Delivery, Webhook
from narrows_server.webhooks.outbox import ALL, CATALOGUE, PENDING, put_for

SECRET_BYTES = 32
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of the specification
OVERLAP = timedelta(days=1)  # After a rotation: so long events carry both signatures.
WEBHOOKS_MAX = 50
TEST = "webhook.tested"


def add(
    session: Session,
    url: str,
    *,
    types: Sequence[str],
    customer_id: str | None,
    console_secret: bytes,
    is_development: bool,
    occasion: Occasion,
) -> tuple[Webhook, str]:
    """A new webhook, and its secret: this is the only time that it can be seen. Raises `Invalid`."""
    unknown = sorted(set(types) - CATALOGUE.keys() - {ALL})
    if unknown or not types:
        raise Invalid(f"{', '.join(unknown) or 'nothing'} is no type of event; {ALL} is all of them")
    if len(session.scalars(select(Webhook.id).where(Webhook.customer_id == customer_id)).all()) >= WEBHOOKS_MAX:
        raise Invalid(f"there are {WEBHOOKS_MAX} webhooks already; remove one")
    secret = _new_secret()
    webhook = Webhook(
        id=new_id("whk"),
        url=check_url(url, is_development=is_development),
        types=" ".join(sorted(set(types))),
        customer_id=customer_id,
        secret_sealed=_seal(secret, console_secret),
        previous_sealed=None,
        previous_until=None,
        created_at=occasion.at,
        failing_since=None,
        disabled_at=None,
        disabled_because=None,
    )
    session.add(webhook)
    session.flush()
    audit.write(session, occasion, "webhook.added", webhook.id, url=webhook.url, customer=customer_id)
    return webhook, secret


def rotate_secret(session: Session, webhook: Webhook, *, console_secret: bytes, occasion: Occasion) -> str:
    """Another secret; for a day every event is signed with the old one as well."""
    secret = _new_secret()
    webhook.previous_sealed, webhook.previous_until = webhook.secret_sealed, occasion.at + OVERLAP
    webhook.secret_sealed = _seal(secret, console_secret)
    audit.write(session, occasion, "webhook.secret_rotated", webhook.id)
    return secret


def secrets_of(webhook: Webhook, *, console_secret: bytes, at: datetime) -> list[str]:
    """The secrets that an event is signed with now."""
    sealed = [webhook.secret_sealed]
    if webhook.previous_sealed is not None and webhook.previous_until is not None and at < webhook.previous_until:
        sealed.append(webhook.previous_sealed)
    return [box(console_secret, "webhook").decrypt(one).decode() for one in sealed]


def test(session: Session, webhook: Webhook, *, occasion: Occasion) -> Delivery:
    """Send it an event that means nothing."""
    if webhook.disabled_at is not None:
        raise Invalid(f"webhook {webhook.id} is disabled; enable it first")
    event = put_for(session, [webhook], TEST, webhook.id, {"customer": webhook.customer_id}, at=occasion.at)
    session.flush()
    return session.scalars(select(Delivery).where(Delivery.event_id == event.id)).one()


def replay(session: Session, delivery: Delivery, *, occasion: Occasion) -> None:
    """Send an event again from now on, with the same id: a receiver that has it already can tell."""
    if delivery.webhook.disabled_at is not None:
        raise Invalid(f"webhook {delivery.webhook_id} is disabled; enable it first")
    delivery.state, delivery.attempts, delivery.next_at = PENDING, 0, occasion.at
    audit.write(session, occasion, "delivery.replayed", delivery.id, webhook=delivery.webhook_id)


def disable(session: Session, webhook: Webhook, *, because: str, occasion: Occasion) -> None:
    """Send it nothing more. Again changes nothing."""
    if webhook.disabled_at is None:
        webhook.disabled_at, webhook.disabled_because = occasion.at, because
        audit.write(session, occasion, "webhook.disabled", webhook.id, because=because)


def enable(session: Session, webhook: Webhook, *, occasion: Occasion) -> None:
    """Send it events again; what was on its way when it was disabled is tried again, too."""
    if webhook.disabled_at is not None:
        webhook.disabled_at = webhook.disabled_because = webhook.failing_since = None
        audit.write(session, occasion, "webhook.enabled", webhook.id)


def remove(session: Session, webhook: Webhook, *, occasion: Occasion) -> None:
    """Forget it and its deliveries; the events stay."""
    session.execute(delete(Delivery).where(Delivery.webhook_id == webhook.id))
    session.delete(webhook)
    audit.write(session, occasion, "webhook.removed", webhook.id, url=webhook.url)


def require_webhook(session: Session, webhook_id: str, caller: Caller | None = None) -> Webhook:
    """The webhook with this id, if it exists for *caller*. Raises `NotFound`."""
    webhook = session.get(Webhook, webhook_id)
    if webhook is None or (caller is not None and not caller.owns(webhook.customer_id)):
        raise NotFound(f"there is no webhook {webhook_id}")
    return webhook


def require_delivery(session: Session, delivery_id: str, caller: Caller | None = None) -> Delivery:
    """The delivery with this id, if it exists for *caller*. Raises `NotFound`."""
    delivery = session.get(Delivery, delivery_id)
    if delivery is None or (caller is not None and not caller.owns(delivery.webhook.customer_id)):
        raise NotFound(f"there is no delivery {delivery_id}")
    return delivery


def webhook_page(session: Session, at: Paging, *, customer_id: str | None = None) -> Paged[Webhook]:
    """A page of webhooks, newest first: all, or those of one customer."""
    query = select(Webhook)
    if customer_id is not None:
        query = query.where(Webhook.customer_id == customer_id)
    return read_page(session, query, by=(Webhook.created_at, Webhook.id), at=at)


def delivery_page(
    session: Session, at: Paging, *, webhook_id: str | None = None, customer_id: str | None = None
) -> Paged[Delivery]:
    """A page of deliveries, newest first: all, those of one webhook, those of one customer."""
    query = select(Delivery)
    if webhook_id is not None:
        query = query.where(Delivery.webhook_id == webhook_id)
    if customer_id is not None:
        query = query.join(Webhook, Webhook.id == Delivery.webhook_id).where(Webhook.customer_id == customer_id)
    return read_page(session, query, by=(Delivery.created_at, Delivery.id), at=at)


def _new_secret() -> str:
    return SECRET_PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _seal(secret: str, console_secret: bytes) -> str:
    return box(console_secret, "webhook").encrypt(secret.encode()).decode()
