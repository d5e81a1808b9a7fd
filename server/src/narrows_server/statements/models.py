"""Tables of statements and of the outcomes of closing a month."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from narrows_server.contracts.models import Contract
from narrows_server.database import Base, UtcDateTime


class Statement(Base):
    """The account of one month's savings under one contract, as canonical JSON. Never changed."""

    __tablename__ = "statement"
    __table_args__ = (UniqueConstraint("contract_id", "period"),)

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), index=True)
    period: Mapped[str] = mapped_column(String(7))  # "2026-11"
    drawn_up_at: Mapped[datetime] = mapped_column(UtcDateTime)
    hash: Mapped[str] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(Text)

    contract: Mapped[Contract] = relationship(lazy="joined", innerjoin=True)


class Outcome(Base):
    """How a contract's month ended. `held` may still become one of the other two; those are final."""

    __tablename__ = "outcome"

    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), primary_key=True)
    period: Mapped[str] = mapped_column(String(7), primary_key=True)
    result: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(Text)
    statement_id: Mapped[str | None] = mapped_column(ForeignKey("statement.id"))
    invoice_id: Mapped[str | None] = mapped_column(ForeignKey("invoice.id"))
    decided_at: Mapped[datetime] = mapped_column(UtcDateTime)
