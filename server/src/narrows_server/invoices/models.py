"""Tables of invoices, credit notes and their numbers."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from narrows_server.customers.models import Customer
from narrows_server.database import Base, UtcDateTime

DRAFT = "draft"
ISSUED = "issued"


class Kind(StrEnum):
    """What a document is in law."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class NumberPattern(Base):
    """How the numbers of an entity's invoices, or of its credit notes, look from a day on. Never changed."""

    __tablename__ = "number_pattern"

    entity_id: Mapped[str] = mapped_column(ForeignKey("legal_entity.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    valid_from: Mapped[date] = mapped_column(Date, primary_key=True)
    pattern: Mapped[str] = mapped_column(String(60))  # "INV-{year}-{number:06}"


class InvoiceSeries(Base):
    """
    The counter of one series: all numbers with the same beginning.

    Its row is locked while a number is taken, and rolls back with the invoice.
    """

    __tablename__ = "invoice_series"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)  # "INV-2026-": the number without its counter.
    entity_id: Mapped[str] = mapped_column(ForeignKey("legal_entity.id"))
    kind: Mapped[str] = mapped_column(String(20))
    last_number: Mapped[int] = mapped_column(Integer)


class Invoice(Base):
    """
    One invoice or credit note. `document` is the invoice; the columns beside it are for finding it.

    Unchangeable once issued: what is paid or credited later stands elsewhere and refers to it.
    """

    __tablename__ = "invoice"
    __table_args__ = (
        Index("ix_invoice_drafted_at", "drafted_at", "id"),
        CheckConstraint("(status = 'issued') = (number IS NOT NULL)", name="issued_means_numbered"),
        CheckConstraint("(status = 'issued') = (document IS NOT NULL)", name="issued_means_written"),
        CheckConstraint("total_minor >= 0", name="total_is_not_negative"),
        CheckConstraint("net_minor + tax_minor = total_minor", name="net_and_tax_are_the_total"),
        CheckConstraint("kind = 'credit_note' OR credits_id IS NULL", name="only_credit_notes_credit"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(10))
    number: Mapped[str | None] = mapped_column(String(60), unique=True)
    entity_id: Mapped[str] = mapped_column(ForeignKey("legal_entity.id"), index=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    statement_id: Mapped[str | None] = mapped_column(ForeignKey("statement.id"), unique=True)
    credits_id: Mapped[str | None] = mapped_column(ForeignKey("invoice.id"), index=True)  # The invoice it corrects.
    currency: Mapped[str] = mapped_column(String(3))
    net_minor: Mapped[int] = mapped_column(BigInteger)
    tax_minor: Mapped[int] = mapped_column(BigInteger)
    total_minor: Mapped[int] = mapped_column(BigInteger)
    drafted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    issued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_on: Mapped[date | None] = mapped_column(Date)
    order_text: Mapped[str] = mapped_column(Text)  # What it is written from, as JSON: see `order`.
    document: Mapped[str | None] = mapped_column(Text)
    content_hash: Mapped[str | None] = mapped_column(String(64))  # SHA-256 of `document`, hex.

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
