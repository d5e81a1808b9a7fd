"""What the invoice endpoints say, as JSON."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from narrows_server.invoices.models import Invoice


class MoneyOut(BaseModel):
    """An amount in minor units of its currency."""

    minor: int
    currency: str


class InvoiceOut(BaseModel):
    """An invoice. Its lines are in its PDF and in its statement."""

    number: str | None
    status: str
    customer_id: str
    statement_id: str | None
    total: MoneyOut
    issued_at: datetime | None
    content_hash: str | None

    @classmethod
    def of(cls, invoice: Invoice) -> InvoiceOut:
        return cls(
            number=invoice.number,
            status=invoice.status,
            customer_id=invoice.customer_id,
            statement_id=invoice.statement_id,
            total=MoneyOut(minor=invoice.total_minor, currency=invoice.currency),
            issued_at=invoice.issued_at,
            content_hash=invoice.content_hash,
        )
