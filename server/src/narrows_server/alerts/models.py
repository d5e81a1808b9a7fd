"""The table of alerts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from narrows_server.database import Base, UtcDateTime


class SpendLimit(Base):
    """What our share of a month under a contract may come to before somebody is told. It stops nothing."""

    __tablename__ = "spend_limit"

    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), primary_key=True)
    amount_minor: Mapped[int] = mapped_column(BigInteger)  # In the currency of the contract.
    set_by: Mapped[str] = mapped_column(String(200))
    set_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Alert(Base):
    """A finding that was opened once; of each cause and subject there is one that is not closed."""

    __tablename__ = "alert"
    __table_args__ = (
        Index("ix_alert_opened_at", "opened_at", "id"),
        Index(
            "uq_alert_open",
            "cause",
            "subject",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    cause: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(String(64))
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    detail: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_by: Mapped[str | None] = mapped_column(String(200))
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
