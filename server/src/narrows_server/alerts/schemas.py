"""Alerts as the API and the command line show them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from narrows_server.alerts.models import Alert
from narrows_server.alerts.rules import Cause


class AlertOut(BaseModel):
    """Something to look at."""

    id: str = Field(examples=["alr_7mbd2qxw4hnr5c8t"])
    cause: Cause
    subject: str = Field(description="The id of an installation, a license or a contract.")
    customer_id: str
    detail: str = Field(examples=["nothing new after record 4,711"])
    since: datetime
    opened_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    closed_at: datetime | None

    @classmethod
    def of(cls, alert: Alert) -> AlertOut:
        return cls.model_validate({name: getattr(alert, name) for name in cls.model_fields})
