"""What the usage endpoints say, as JSON."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from narrows_server.usage.repository import InstallationOverview


class ReceiptOut(BaseModel):
    """The answer to an accepted report."""

    receipt: str  # A JWS of type narrows-receipt+jwt.


class InstallationOut(BaseModel):
    """An installation and its usage so far."""

    id: str
    customer_id: str
    contract_id: str
    license_id: str
    sdk: str
    enrolled_at: datetime
    reported_at: datetime
    records: int
    encodes: int
    delivered_bytes: int
    forks: int

    @classmethod
    def of(cls, overview: InstallationOverview) -> InstallationOut:
        installation = overview.installation
        return cls(
            id=installation.id,
            customer_id=installation.customer_id,
            contract_id=installation.contract_id,
            license_id=installation.license_id,
            sdk=installation.sdk,
            enrolled_at=installation.enrolled_at,
            reported_at=installation.reported_at,
            records=installation.head_seq,
            encodes=overview.encode_count,
            delivered_bytes=overview.delivered_bytes,
            forks=overview.fork_count,
        )


class InstallationsOut(BaseModel):
    """Every installation, the one that reported last first."""

    items: list[InstallationOut]
