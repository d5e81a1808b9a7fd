"""The table of what was charged: every line of every invoice, by the month that it belongs to."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from narrows_server.database import Base, UtcDateTime


class Charge(Base):
    """
    One line that was invoiced, or, with the opposite sign, one that a credit note has undone. Append-only.

    Years are added up from here, and corrections of a month are the difference to what stands here for it.
    """

    __tablename__ = "charge"

    id: Mapped[int] = mapped_column(primary_key=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), index=True)
    closed_in: Mapped[str] = mapped_column(String(7))  # The month whose close charged it.
    statement_id: Mapped[str] = mapped_column(ForeignKey("statement.id"), index=True)
    position: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(20))  # `lines.Kind`
    period: Mapped[str] = mapped_column(String(20))  # The month or the contract's year that it belongs to.
    text: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
