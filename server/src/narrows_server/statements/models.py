"""Tables of statements, of the steps of their lives, and of the outcomes of closing a month."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from narrows_server.contracts.models import Contract
from narrows_server.database import Base, UtcDateTime


class Statement(Base):
    """The account of one month's savings under one contract, as canonical JSON. Never changed: see `version`."""

    __tablename__ = "statement"
    __table_args__ = (UniqueConstraint("contract_id", "period", "version"),)

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), index=True)
    period: Mapped[str] = mapped_column(String(7))  # "2026-11"
    version: Mapped[int] = mapped_column(Integer)  # From 1; a later one supersedes all before it.
    drawn_up_at: Mapped[datetime] = mapped_column(UtcDateTime)
    hash: Mapped[str] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(Text)

    contract: Mapped[Contract] = relationship(lazy="joined", innerjoin=True)


class StatementStep(Base):
    """What somebody did with a statement. Where it stands follows from its steps: see `life`."""

    __tablename__ = "statement_step"

    id: Mapped[int] = mapped_column(primary_key=True)
    statement_id: Mapped[str] = mapped_column(ForeignKey("statement.id"), index=True)
    step: Mapped[str] = mapped_column(String(20))  # `standing.Step`
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(200))
    detail: Mapped[str | None] = mapped_column(Text)  # Why: the reason of a dispute, what made silence count.
    signature: Mapped[str | None] = mapped_column(Text)  # The customer's, as it stands in the document's section.


class Outcome(Base):
    """How a contract's month ended. `held` may still become one of the other two."""

    __tablename__ = "outcome"

    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), primary_key=True)
    period: Mapped[str] = mapped_column(String(7), primary_key=True)
    result: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(Text)
    statement_id: Mapped[str | None] = mapped_column(ForeignKey("statement.id"))
    invoice_id: Mapped[str | None] = mapped_column(ForeignKey("invoice.id"))
    decided_at: Mapped[datetime] = mapped_column(UtcDateTime)
