"""Webhooks and their deliveries as the API and the command line show and take them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from narrows_server.webhooks.addresses import URL_CHARACTERS_MAX
from narrows_server.webhooks.models import Delivery, Webhook
from narrows_server.webhooks.outbox import ALL


class WebhookOut(BaseModel):
    """Where events are sent."""

    id: str = Field(examples=["whk_7mbd2qxw4hnr5c8t"])
    url: str = Field(examples=["https://hooks.example.com/narrows"])
    types: list[str] = Field(examples=[["license.revoked", "alert.opened"]])
    customer_id: str | None
    created_at: datetime
    failing_since: datetime | None
    previous_until: datetime | None = Field(description="How long events carry a signature with the old secret, too.")
    disabled_at: datetime | None
    disabled_because: str | None

    @classmethod
    def of(cls, webhook: Webhook) -> WebhookOut:
        names = set(cls.model_fields) - {"types"}
        return cls(types=webhook.types.split(), **{name: getattr(webhook, name) for name in names})


class WebhookSecretOut(WebhookOut):
    """A webhook, and its secret: the only time that it can be seen."""

    secret: str = Field(examples=["whsec_…"])


class DeliveryOut(BaseModel):
    """An event on its way to a webhook."""

    id: str = Field(examples=["dlv_7mbd2qxw4hnr5c8t"])
    webhook_id: str
    event_id: str = Field(description="`Webhook-Id` of every attempt.")
    type: str = Field(examples=["alert.opened"])
    state: str = Field(description="pending, delivered or failed")
    attempts: int
    created_at: datetime
    next_at: datetime | None
    last_at: datetime | None
    last_status: int | None
    last_error: str | None
    event: dict[str, Any] = Field(description="What is sent.")

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryOut:
        names = set(cls.model_fields) - {"type", "event"}
        return cls(
            type=delivery.event.type,
            event=orjson.loads(delivery.event.body),
            **{name: getattr(delivery, name) for name in names},
        )


class WebhookIn(BaseModel):
    """Where events are to be sent."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"url": "https://hooks.example.com/narrows", "types": ["alert.opened"]}]},
    )

    url: str = Field(min_length=1, max_length=URL_CHARACTERS_MAX)
    types: list[str] = Field(default=[ALL], min_length=1, max_length=50, description="Event types, or `*` for all.")
