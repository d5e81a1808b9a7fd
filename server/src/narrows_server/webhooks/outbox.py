"""
What becomes an event: certain changes, in the very transaction that makes them.

`audit.write` hands every change to `put`. If the change is taken back, so are its event and deliveries; if it is
committed, they are, and are sent until they arrive. Nothing is sent from within a transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from narrows_server.identity import new_id
from narrows_server.webhooks.models import Delivery, Event, Webhook

ALL = "*"
PENDING = "pending"

# Actions of the audit log that are worth an event, and what they tell.
CATALOGUE = MappingProxyType(
    {
        "license.issued": "a license was issued, renewed or transferred",
        "license.suspended": "a license was suspended",
        "license.reinstated": "a suspension was lifted",
        "license.revoked": "a license was revoked",
        "installation.enrolled": "an installation reported for the first time",
        "installation.forked": "an installation reported something that contradicts what it reported before",
        "statement.drawn_up": "the statement of a month was drawn up; a draft, so it is not told to the customer",
        "statement.sent": "a statement was sent to the customer",
        "statement.accepted": "a statement was accepted",
        "statement.disputed": "a statement was disputed",
        "invoice.issued": "an invoice was issued",
        "credit_note.issued": "a credit note was issued",
        "payment.received": "a payment was recorded",
        "alert.opened": "an alert was opened: something needs to be looked at",
        "alert.acknowledged": "somebody acknowledged an alert",
        "alert.closed": "an alert was closed: its cause is gone",
        "webhook.tested": "somebody asked for a test",
    }
)


def put(session: Session, action: str, subject: str, detail: Mapping[str, str | int | None], *, at: datetime) -> None:
    """Write the event of a change, if it is one, and a delivery for every webhook that wants it."""
    if action not in CATALOGUE:
        return
    customer_id = detail.get("customer")
    webhooks = wanting(session, action, customer_id=customer_id if isinstance(customer_id, str) else None)
    if not webhooks:
        return
    put_for(session, webhooks, action, subject, detail, at=at)


def put_for(
    session: Session,
    webhooks: list[Webhook],
    type: str,  # noqa: A002 - the word of the specification
    subject: str,
    detail: Mapping[str, str | int | None],
    *,
    at: datetime,
) -> Event:
    """Write an event and its deliveries to *webhooks*."""
    customer_id = detail.get("customer")
    told = {name: value for name, value in detail.items() if name != "customer"}
    body = {
        "type": type,
        "timestamp": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {"id": subject, "customer_id": customer_id, **told},
    }
    event = Event(
        id=new_id("evt"),
        type=type,
        customer_id=customer_id if isinstance(customer_id, str) else None,
        at=at,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")),
    )
    session.add(event)
    session.flush()
    for webhook in webhooks:
        session.add(
            Delivery(
                id=new_id("dlv"),
                event_id=event.id,
                event=event,
                webhook_id=webhook.id,
                webhook=webhook,
                created_at=at,
                state=PENDING,
                attempts=0,
                next_at=at,
                last_at=None,
                last_status=None,
                last_error=None,
            )
        )
    return event


def wanting(session: Session, type: str, *, customer_id: str | None) -> list[Webhook]:  # noqa: A002
    """
    The webhooks that want this type. A customer's get the events that are known to be of this customer, and no other.
    """
    query = select(Webhook).where(Webhook.disabled_at.is_(None))
    query = query.where(or_(Webhook.customer_id.is_(None), Webhook.customer_id == customer_id))
    return [webhook for webhook in session.scalars(query) if wants(webhook, type)]


def wants(webhook: Webhook, type: str) -> bool:  # noqa: A002
    """Whether *webhook* is to get events of this type."""
    types = webhook.types.split()
    return ALL in types or type in types
