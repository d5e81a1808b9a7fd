"""
Tables of the journal, which only grow, and the database refuses anything else; and what invoices have to be paid yet.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from narrows_server.database import Base, UtcDateTime


class JournalEntry(Base):
    """One event of money. `event` and `subject` together name it, so that none is posted twice."""

    __tablename__ = "journal_entry"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[str] = mapped_column(String(150), unique=True)  # "invoice_issued:INV-2026-000001"
    entity_id: Mapped[str] = mapped_column(ForeignKey("legal_entity.id"), index=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    currency: Mapped[str] = mapped_column(String(3))
    event: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(64))  # The number of an invoice, or the id of a payment.
    posted_on: Mapped[date] = mapped_column(Date)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)

    lines: Mapped[list[JournalLine]] = relationship(order_by="JournalLine.position", lazy="selectin")


class JournalLine(Base):
    """One side of an entry: a debit or a credit of one account, in minor units of the entry's currency."""

    __tablename__ = "journal_line"
    __table_args__ = (
        CheckConstraint("debit_minor >= 0 AND credit_minor >= 0", name="sides_are_not_negative"),
        CheckConstraint("(debit_minor = 0) <> (credit_minor = 0)", name="one_side"),
    )

    entry_id: Mapped[int] = mapped_column(ForeignKey("journal_entry.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    account: Mapped[str] = mapped_column(String(30), index=True)
    debit_minor: Mapped[int] = mapped_column(BigInteger)
    credit_minor: Mapped[int] = mapped_column(BigInteger)
    tax: Mapped[str | None] = mapped_column(String(12))  # Category and rate of revenue and tax: "S 19".
    invoice_id: Mapped[str | None] = mapped_column(ForeignKey("invoice.id"), index=True)


class Receivable(Base):
    """
    The balance of one invoice's receivable, kept by whatever posts to it: what is overdue is not to be looked for in
    all invoices and payments that ever were.

    Nothing is decided on it that moves money: there `payments.standing` adds up what happened.
    """

    __tablename__ = "receivable"

    invoice_id: Mapped[str] = mapped_column(ForeignKey("invoice.id"), primary_key=True)
    due_on: Mapped[date] = mapped_column(Date)
    owed_minor: Mapped[int] = mapped_column(BigInteger)


_IS_OWED = Receivable.__table__.c.owed_minor > 0
Index(
    "ix_receivable_due_on",
    Receivable.__table__.c.due_on,
    Receivable.__table__.c.invoice_id,
    postgresql_where=_IS_OWED,
    sqlite_where=_IS_OWED,
)
