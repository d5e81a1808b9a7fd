"""Tables of statements, of the steps of their lives, and of the outcomes of closing a month."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from narrows_server.contracts.models import Contract
from narrows_server.database import Base, UtcDateTime


class Statement(Base):
    """The account of one month's savings under one contract, as canonical JSON. Never changed: see `version`."""

    __tablename__ = "statement"
    __table_args__ = (
        Index("ix_statement_period", "period", "id"),
        UniqueConstraint("contract_id", "period", "version"),
    )

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), index=True)
    period: Mapped[str] = mapped_column(String(7))  # "2026-11"
    version: Mapped[int] = mapped_column(Integer)  # From 1; a later one supersedes all before it.
    drawn_up_at: Mapped[datetime] = mapped_column(UtcDateTime)
    hash: Mapped[str] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(Text)

    contract: Mapped[Contract] = relationship(lazy="joined", innerjoin=True)
    rollup: Mapped[StatementRollup] = relationship(lazy="joined", innerjoin=True)


class StatementRollup(Base):
    """
    The figures of a statement beside its document: what pages and alerts add up must not read every document.

    Written once, with the statement, except for where it stands. Never billed from.
    """

    __tablename__ = "statement_rollup"
    __table_args__ = (
        Index("ix_statement_rollup_period", "period", "customer_id"),
        Index("ix_statement_rollup_customer_id", "customer_id", "period"),
        Index("ix_statement_rollup_standing", "standing", "period"),
    )

    statement_id: Mapped[str] = mapped_column(ForeignKey("statement.id"), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"))
    period: Mapped[str] = mapped_column(String(7))
    # `standing.Standing` by the steps alone: that silence accepts follows from the time. The latest version of a month
    # is the one that is not superseded.
    standing: Mapped[str] = mapped_column(String(20))
    baseline: Mapped[str] = mapped_column(Text)
    metric: Mapped[str] = mapped_column(Text)
    delivered_bytes: Mapped[int] = mapped_column(BigInteger)
    baseline_bytes: Mapped[int] = mapped_column(BigInteger)
    saved_bytes: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    valued_in: Mapped[str] = mapped_column(String(3))
    delivered_minor: Mapped[int] = mapped_column(BigInteger)
    baseline_minor: Mapped[int] = mapped_column(BigInteger)
    value_minor: Mapped[int] = mapped_column(BigInteger)
    share_percent: Mapped[str] = mapped_column(Text)
    share_minor: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str | None] = mapped_column(Text)
    has_usage: Mapped[bool] = mapped_column(Boolean)


class AssetRollup(Base):
    """What one asset saved in a statement. Written once, with the statement; never billed from."""

    __tablename__ = "asset_rollup"
    __table_args__ = (Index("ix_asset_rollup_period", "period", "saved_bytes"),)

    statement_id: Mapped[str] = mapped_column(ForeignKey("statement.id"), primary_key=True)
    place: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)  # 1 saved most, the last least.
    period: Mapped[str] = mapped_column(String(7))
    asset: Mapped[str] = mapped_column(Text)  # As long as its customer likes, so no key of anything.
    renditions: Mapped[int] = mapped_column(Integer)
    delivered_bytes: Mapped[int] = mapped_column(BigInteger)
    saved_bytes: Mapped[int] = mapped_column(BigInteger)

    @property
    def baseline_bytes(self) -> int:
        """What the baseline would have delivered."""
        return self.delivered_bytes + self.saved_bytes


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
