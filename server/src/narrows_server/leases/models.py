"""Tables of pools and of the seats that are held in them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from narrows_server.database import Base, UtcDateTime


class LeasePool(Base):
    """The row that is locked while a pool decides. A license and those that it renews have one pool between them."""

    __tablename__ = "lease_pool"

    id: Mapped[str] = mapped_column(ForeignKey("license.id"), primary_key=True)  # The first of these licenses.
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)


class HeldSeat(Base):
    """A seat that somebody holds, or held and may still revive. The unique holder keeps anyone from having two."""

    __tablename__ = "seat"
    __table_args__ = (UniqueConstraint("pool_id", "holder"),)

    lease_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    pool_id: Mapped[str] = mapped_column(ForeignKey("lease_pool.id"))
    license_id: Mapped[str] = mapped_column(ForeignKey("license.id"))
    holder: Mapped[str] = mapped_column(String(64))
    taken_at: Mapped[datetime] = mapped_column(UtcDateTime)
    renewed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    is_borrowed: Mapped[bool]
