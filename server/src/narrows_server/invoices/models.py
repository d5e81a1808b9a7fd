"""Tables of invoices and of their numbers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from narrows_server.customers.models import Customer
from narrows_server.database import Base, UtcDateTime

DRAFT = "draft"
ISSUED = "issued"


class InvoiceSeries(Base):
    """The counter of one series. Its row is locked while a number is taken, and rolls back with the invoice."""

    __tablename__ = "invoice_series"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)  # "INV-2026"
    last_number: Mapped[int] = mapped_column(Integer)


class Invoice(Base):
    """One invoice. `document` is the invoice; the columns beside it are for finding it. Unchangeable once issued."""

    __tablename__ = "invoice"
    __table_args__ = (
        CheckConstraint("(status = 'issued') = (number IS NOT NULL)", name="issued_means_numbered"),
        CheckConstraint("(status = 'issued') = (document IS NOT NULL)", name="issued_means_written"),
        CheckConstraint("total_minor >= 0", name="total_is_not_negative"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    status: Mapped[str] = mapped_column(String(10))
    number: Mapped[str | None] = mapped_column(String(30), unique=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    statement_id: Mapped[str] = mapped_column(ForeignKey("statement.id"), unique=True)
    currency: Mapped[str] = mapped_column(String(3))
    total_minor: Mapped[int] = mapped_column(BigInteger)
    drafted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    issued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    document: Mapped[str | None] = mapped_column(Text)
    content_hash: Mapped[str | None] = mapped_column(String(64))  # SHA-256 of `document`, hex.

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
