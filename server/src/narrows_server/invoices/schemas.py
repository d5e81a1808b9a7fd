"""What the invoice endpoints say, as JSON."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, Field

from narrows_server.invoices.models import Invoice
from narrows_server.invoices.models import Kind as Document
from narrows_server.payments.standing import Standing


class MoneyOut(BaseModel):
    """An amount in minor units of its currency."""

    minor: int
    currency: str


class InvoiceOut(BaseModel):
    """An invoice or credit note. Its lines and its tax are in its document."""

    number: str | None
    kind: str
    status: str
    standing: str | None = Field(None, description="open, partly_paid, overdue, paid, credited; null where unknown")
    entity_id: str
    customer_id: str
    statement_id: str | None
    net: MoneyOut
    tax: MoneyOut
    total: MoneyOut
    receivable: MoneyOut | None = Field(None, description="Of an invoice: total less what was credited and paid.")
    issued_at: datetime | None
    due_on: date | None
    content_hash: str | None

    @classmethod
    def of(cls, invoice: Invoice, standing: Standing | None = None, today: date | None = None) -> InvoiceOut:
        stands = standing if invoice.kind == Document.INVOICE else None

        def money(minor: int) -> MoneyOut:
            return MoneyOut(minor=minor, currency=invoice.currency)

        return cls(
            number=invoice.number,
            kind=invoice.kind,
            status=invoice.status,
            standing=stands.status(today).value if stands and today else None,
            entity_id=invoice.entity_id,
            customer_id=invoice.customer_id,
            statement_id=invoice.statement_id,
            net=money(invoice.net_minor),
            tax=money(invoice.tax_minor),
            total=money(invoice.total_minor),
            receivable=money(stands.receivable_minor) if stands else None,
            issued_at=invoice.issued_at,
            due_on=invoice.due_on,
            content_hash=invoice.content_hash,
        )


class CreditIn(BaseModel):
    """What is to be credited of an invoice."""

    reason: str = Field(min_length=1, max_length=500, description="As it is to stand on the credit note.")
    lines: dict[int, int] | None = Field(
        None, description="Net, in minor units, by the id of the line; all that is left if null."
    )
