"""
Sending what is due: claimed in one transaction, sent outside of any, settled in another.

A process that dies in between leaves a claim that runs out, and the event is sent again: at least once, and with the
same id each time. Several processes may do this at the same time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from narrows_server.audit import Occasion
from narrows_server.database import Database
from narrows_server.webhooks import service
from narrows_server.webhooks.models import Delivery, Webhook
from narrows_server.webhooks.outbox import PENDING
from narrows_server.webhooks.schedule import ATTEMPTS_MAX, DISABLED_AFTER, has_failed_for_too_long, next_attempt
from narrows_server.webhooks.sender import Answered, Letter, Send

CLAIMED_AT_ONCE = 40
CLAIM = timedelta(minutes=2)  # Longer than any attempt takes.
SENT_AT_ONCE = 8
GONE = 410
ACTOR = "server"


class State(StrEnum):
    """Where a delivery stands."""

    PENDING = PENDING
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Courier:
    """What is needed to deliver."""

    database: Database
    send: Send
    console_secret: bytes
    clock: Callable[[], datetime]
    chance: Callable[[], float] = random.random  # Of the jitter, which is no secret.


def deliver_due(courier: Courier) -> int:
    """Attempt what is due, and return how much that was. Call it again until it is nothing."""
    now = courier.clock()
    with courier.database.snapshot() as session:
        if session.scalars(_due(now).with_only_columns(Delivery.id).limit(1)).first() is None:
            return 0
    with courier.database.transaction() as session:
        claimed = _claim(session, courier, at=now)
    with ThreadPoolExecutor(SENT_AT_ONCE) as pool:
        answers = list(pool.map(lambda claim: courier.send(claim[1], at=now), claimed))
    for (delivery_id, _), answered in zip(claimed, answers, strict=True):
        with courier.database.transaction() as session:
            _settle(session, delivery_id, answered, courier, at=courier.clock())
    return len(claimed)


def _due(at: datetime):  # type: ignore[no-untyped-def]  # A Select, whose type changes with its columns.
    return (
        select(Delivery)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.next_at <= at, Webhook.disabled_at.is_(None))
        .order_by(Delivery.next_at, Delivery.id)
    )


def _claim(session: Session, courier: Courier, *, at: datetime) -> Sequence[tuple[str, Letter]]:
    query = _due(at).limit(CLAIMED_AT_ONCE).with_for_update(of=Delivery, skip_locked=True)
    claimed = []
    for delivery in session.scalars(query):
        # Counted as it is claimed: an attempt that is never settled, because the process died, was one as well.
        delivery.attempts, delivery.last_at = delivery.attempts + 1, at
        delivery.next_at = at + CLAIM
        letter = Letter(
            url=delivery.webhook.url,
            event_id=delivery.event_id,
            body=delivery.event.body,
            secrets=service.secrets_of(delivery.webhook, console_secret=courier.console_secret, at=at),
        )
        claimed.append((delivery.id, letter))
    return claimed


def _settle(session: Session, delivery_id: str, answered: Answered, courier: Courier, *, at: datetime) -> None:
    delivery = session.get(Delivery, delivery_id)
    if delivery is None:  # Its webhook was removed meanwhile.
        return
    webhook = delivery.webhook
    delivery.last_status, delivery.last_error = answered.status, answered.error
    if answered.is_delivered:
        delivery.state, delivery.next_at = State.DELIVERED.value, None
        webhook.failing_since = None
        return
    webhook.failing_since = webhook.failing_since or at
    delivery.next_at = next_attempt(delivery.attempts, at=at, chance=courier.chance())
    if delivery.next_at is None or delivery.attempts >= ATTEMPTS_MAX:
        delivery.state, delivery.next_at = State.FAILED.value, None
    occasion = Occasion(actor=ACTOR, at=at)
    if answered.status == GONE:
        service.disable(session, webhook, because="it answered 410 Gone", occasion=occasion)
    elif has_failed_for_too_long(webhook.failing_since, at=at):
        because = f"nothing arrived for {DISABLED_AFTER.days} days"
        service.disable(session, webhook, because=because, occasion=occasion)
