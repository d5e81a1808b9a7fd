"""What the payment endpoints say and take, as JSON."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, Field

from narrows_server.invoices.schemas import MoneyOut
from narrows_server.moments import Day
from narrows_server.payments.models import Payment


class PaymentOut(BaseModel):
    """Money of a customer; the amount of a refund or a reversal is negative."""

    id: str
    kind: str
    entity_id: str
    customer_id: str
    received_on: date
    reference: str | None
    amount: MoneyOut
    unused: MoneyOut = Field(description="What of it is for no invoice yet: the customer's credit.")
    of: str | None = Field(description="The payment that a refund or reversal undoes.")
    recorded_at: datetime

    @classmethod
    def of_row(cls, payment: Payment, unused_minor: int) -> PaymentOut:
        return cls(
            id=payment.id,
            kind=payment.kind,
            entity_id=payment.entity_id,
            customer_id=payment.customer_id,
            received_on=payment.received_on,
            reference=payment.reference,
            amount=MoneyOut(minor=payment.amount_minor, currency=payment.currency),
            unused=MoneyOut(minor=unused_minor, currency=payment.currency),
            of=payment.of_id,
            recorded_at=payment.recorded_at,
        )


class PaymentIn(BaseModel):
    """Money that arrived at the bank."""

    customer_id: str = Field(max_length=64)
    entity_id: str | None = Field(None, max_length=64, description="The first legal entity if null.")
    amount: MoneyOut
    received_on: Day
    reference: str | None = Field(None, max_length=100, description="The bank's; the same one is refused twice.")
    note: str | None = Field(None, max_length=500)
    invoices: list[str] | None = Field(None, max_length=500, description="What it is for; those due first if null.")


class ReversalIn(BaseModel):
    """Why a payment is taken back."""

    reversed_on: Day
    note: str | None = Field(None, max_length=500)


class ApplyIn(BaseModel):
    """Which invoice credit is to pay."""

    invoice: str = Field(max_length=60, description="Its number.")
    amount_minor: int | None = Field(None, ge=1, description="As much as possible if null.")


class RefundIn(BaseModel):
    """Credit that was paid back."""

    paid_on: date
    amount_minor: int | None = Field(None, ge=1, description="All that is for no invoice if null.")
    reference: str | None = Field(None, max_length=100, description="The bank's.")
