"""What commands and endpoints say of contracts and tariffs, as JSON."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field

from narrows_server.contracts.models import Contract, ContractVersion, Tariff
from narrows_server.moments import Day


class TariffOut(BaseModel):
    """A tariff and its document."""

    id: str
    name: str
    currency: str
    hash: str
    created_at: datetime
    document: dict[str, Any]

    @classmethod
    def of(cls, tariff: Tariff) -> TariffOut:
        return cls(
            id=tariff.id,
            name=tariff.name,
            currency=tariff.currency,
            hash=tariff.hash,
            created_at=tariff.created_at,
            document=json.loads(tariff.document),
        )


class VersionOut(BaseModel):
    """One version of a contract."""

    number: int
    effective_on: date
    recorded_at: datetime
    recorded_by: str
    reason: str | None
    hash: str
    document: dict[str, Any]

    @classmethod
    def of(cls, version: ContractVersion) -> VersionOut:
        return cls(
            number=version.number,
            effective_on=version.effective_on,
            recorded_at=version.recorded_at,
            recorded_by=version.recorded_by,
            reason=version.reason,
            hash=version.hash,
            document=json.loads(version.document),
        )


class ContractOut(BaseModel):
    """A contract with the terms of one version."""

    id: str
    customer_id: str
    starts_on: date
    version: int
    hash: str
    document: dict[str, Any]

    @classmethod
    def of(cls, contract: Contract, version: ContractVersion) -> ContractOut:
        return cls(
            id=contract.id,
            customer_id=contract.customer_id,
            starts_on=contract.starts_on,
            version=version.number,
            hash=version.hash,
            document=json.loads(version.document),
        )


class VersionsOut(BaseModel):
    """The versions of a contract, in the order in which they were recorded."""

    items: list[VersionOut]


class TariffIn(BaseModel):
    """A tariff to add: its document, as `narrows-server tariff schema` describes it, and an id of your choice."""

    id: str | None = Field(default=None, max_length=64)
    document: dict[str, Any]


class ContractIn(BaseModel):
    """A contract to add: its document, as `narrows-server contract schema` describes it, and an id of your choice."""

    id: str | None = Field(default=None, max_length=64)
    document: dict[str, Any]


class AmendmentIn(BaseModel):
    """Other terms from a day on."""

    effective_on: Day
    patch: dict[str, Any]
    reason: str | None = Field(default=None, max_length=2_000)
