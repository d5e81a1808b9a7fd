"""Tables of payments and of the invoices that they are for. Both only grow."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from narrows_server.database import Base, UtcDateTime


class Kind(StrEnum):
    """Where a customer's money came from, or went."""

    RECEIVED = "received"
    CREDIT = "credit"  # A credit note that corrects no single invoice: it pays later ones.
    REFUND = "refund"  # Paid back to the customer; refers to what it pays back.
    REVERSAL = "reversal"  # Bounced or recorded by mistake; undoes what it refers to.


class Payment(Base):
    """Money of a customer. `amount_minor` is negative for refunds and reversals."""

    __tablename__ = "payment"
    __table_args__ = (
        UniqueConstraint("entity_id", "reference"),
        CheckConstraint("(amount_minor < 0) = (kind IN ('refund', 'reversal'))", name="sign_follows_kind"),
        CheckConstraint("(of_id IS NOT NULL) = (kind IN ('refund', 'reversal'))", name="undoing_names_what"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    entity_id: Mapped[str] = mapped_column(ForeignKey("legal_entity.id"))
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    currency: Mapped[str] = mapped_column(String(3))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    received_on: Mapped[date] = mapped_column(Date)  # The day on the bank's statement.
    reference: Mapped[str | None] = mapped_column(String(100))  # The bank's; recording it twice is refused.
    note: Mapped[str | None] = mapped_column(Text)
    of_id: Mapped[str | None] = mapped_column(ForeignKey("payment.id"), index=True)
    invoice_id: Mapped[str | None] = mapped_column(ForeignKey("invoice.id"))  # The credit note of a CREDIT.
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Allocation(Base):
    """A part of a payment that pays an invoice; negative where it is taken back."""

    __tablename__ = "allocation"
    __table_args__ = (CheckConstraint("amount_minor <> 0", name="amount_is_not_zero"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"), index=True)
    invoice_id: Mapped[str] = mapped_column(ForeignKey("invoice.id"), index=True)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
