"""What the license endpoint says, as JSON. Tokens are left out: whoever has one can use the license."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from narrows_server.licenses.models import IssuedLicense
from narrows_server.licenses.service import state


class LicenseOut(BaseModel):
    """A license, without the license itself."""

    id: str
    customer_id: str
    contract_id: str
    kind: str
    state: str
    issued_at: datetime
    expires_at: datetime
    suspended_at: datetime | None
    revoked_at: datetime | None
    status_index: int
    replaces: str | None

    @classmethod
    def of(cls, issued: IssuedLicense, at: datetime) -> LicenseOut:
        return cls(
            id=issued.id,
            customer_id=issued.customer_id,
            contract_id=issued.contract_id,
            kind=issued.kind,
            state=state(issued, at),
            issued_at=issued.issued_at,
            expires_at=issued.expires_at,
            suspended_at=issued.suspended_at,
            revoked_at=issued.revoked_at,
            status_index=issued.status_index,
            replaces=issued.replaces,
        )
