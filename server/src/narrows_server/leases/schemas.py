"""What the lease endpoints say, as JSON."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from narrows_server.leases.models import HeldSeat


class GivenBackOut(BaseModel):
    """Whether the seat was held until now."""

    was_held: bool


class SeatOut(BaseModel):
    """A seat and its holder."""

    lease_id: str
    license_id: str
    holder: str
    taken_at: datetime
    renewed_at: datetime
    expires_at: datetime
    is_borrowed: bool

    @classmethod
    def of(cls, seat: HeldSeat) -> SeatOut:
        return cls.model_validate({name: getattr(seat, name) for name in cls.model_fields})
