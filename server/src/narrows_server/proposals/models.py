"""The table of proposals."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from narrows_server.database import Base, UtcDateTime


class Proposal(Base):
    """Something that one person has asked for and another has yet to decide on, or has."""

    __tablename__ = "proposal"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40), index=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customer.id"))
    document: Mapped[str] = mapped_column(Text)  # JSON: all that is needed to do it, as it was proposed.
    proposed_by: Mapped[str] = mapped_column(String(200))
    proposer: Mapped[str] = mapped_column(String(200))  # The person behind it, if a program proposed it.
    proposed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decision: Mapped[str | None] = mapped_column(String(10))  # "approved" or "rejected".
    decided_by: Mapped[str | None] = mapped_column(String(200))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(String(64))  # The id of what came of it.
