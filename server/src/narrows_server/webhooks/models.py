"""Tables of webhooks, events and deliveries."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from narrows_server.database import Base, UtcDateTime


class Webhook(Base):
    """Where events are sent, and the secret under which they are signed."""

    __tablename__ = "webhook"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    url: Mapped[str] = mapped_column(String(500))
    types: Mapped[str] = mapped_column(Text)  # Event types with blanks between them, or "*".
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customer.id"), index=True)  # None: of the vendor.
    secret_sealed: Mapped[str] = mapped_column(Text)
    previous_sealed: Mapped[str | None] = mapped_column(Text)  # Before the last rotation, …
    previous_until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # … and how long it still signs as well.
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)  # The first failure after the last success.
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disabled_because: Mapped[str | None] = mapped_column(String(200))


class Event(Base):
    """Something that happened, as it is sent. Written in the transaction in which it happened."""

    __tablename__ = "event"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    type: Mapped[str] = mapped_column(String(60))
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customer.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    body: Mapped[str] = mapped_column(Text)


class Delivery(Base):
    """An event on its way to a webhook."""

    __tablename__ = "delivery"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    event_id: Mapped[str] = mapped_column(ForeignKey("event.id"), index=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhook.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(10))  # See `deliveries.State`.
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)  # None: no more attempts.
    last_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_status: Mapped[int | None] = mapped_column(Integer)
    last_error: Mapped[str | None] = mapped_column(String(200))

    event: Mapped[Event] = relationship(lazy="joined", innerjoin=True)
    webhook: Mapped[Webhook] = relationship(lazy="joined", innerjoin=True)
