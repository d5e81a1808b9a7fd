"""API keys as JSON. The key itself is said once, in the answer to making or rotating it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from narrows_server.access.api_keys import NAME_CHARACTERS_MAX, scopes_of
from narrows_server.access.models import ApiKey
from narrows_server.access.roles import Action
from narrows_server.moments import Moment


class ApiKeyOut(BaseModel):
    """An API key, without the key itself."""

    id: str = Field(examples=["key_7mbd2qxw4hnr5c8t"])
    name: str = Field(examples=["billing export"])
    prefix: str = Field(examples=["nwk_Zk3v9Q"])
    scopes: list[Action] = Field(examples=[["invoices:read"]])
    customer_id: str | None = Field(examples=[None])
    made_by: str = Field(examples=["person:anna@example.com"])
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    previous_until: datetime | None = Field(description="How long the key before the last rotation still opens.")
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> ApiKeyOut:
        names = set(cls.model_fields) - {"scopes"}
        return cls(scopes=sorted(scopes_of(key)), **{name: getattr(key, name) for name in names})


class ApiKeyMadeOut(ApiKeyOut):
    """An API key, and the key itself: the only time that it can be seen."""

    key: str = Field(examples=["nwk_Zk3v9QxJ…"])

    @classmethod
    def made(cls, key: ApiKey, text: str) -> ApiKeyMadeOut:
        return cls(key=text, **ApiKeyOut.of(key).model_dump())


class ApiKeyIn(BaseModel):
    """The key that somebody asks for."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "billing export", "scopes": ["invoices:read", "statements:read"]}]},
    )

    name: str = Field(min_length=1, max_length=NAME_CHARACTERS_MAX)
    scopes: list[Action] = Field(min_length=1, max_length=len(Action))
    customer_id: str | None = Field(default=None, max_length=64, description="A key that sees this customer alone.")
    expires_at: Moment | None = None
