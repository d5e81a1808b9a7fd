"""
Drafting and issuing invoices.

A number is taken in the transaction that issues the invoice, from a counter that the transaction holds: if it rolls
back, so does the number, and the next invoice takes it. That is why there are no gaps.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.errors import Invalid, NotFound, ServerError
from narrows_server.identity import new_id
from narrows_server.invoices import repository
from narrows_server.invoices.document import Numbered, canonical, content_hash, write_document
from narrows_server.invoices.models import DRAFT, ISSUED, Invoice
from narrows_server.invoices.party import Vendor
from narrows_server.statements.figures import Figures, read_figures
from narrows_server.statements.models import Statement


class InvoiceAltered(ServerError):
    """An issued invoice in the database is not the one that was issued; it must be restored from a backup."""

    code, title = "invoice_altered", "The stored invoice is not the one that was issued"


def draft(session: Session, statement: Statement, figures: Figures, *, occasion: Occasion) -> Invoice:
    """An invoice over the share of *statement*, without a number yet; 0 is an amount like any other."""
    invoice = Invoice(
        id=new_id("inv"),
        status=DRAFT,
        number=None,
        customer_id=statement.contract.customer_id,
        statement_id=statement.id,
        currency=figures.currency,
        total_minor=figures.share_minor,
        drafted_at=occasion.at,
        issued_at=None,
        document=None,
        content_hash=None,
        customer=statement.contract.customer,
    )
    session.add(invoice)
    session.flush()
    audit.write(session, occasion, "invoice.drafted", invoice.id, statement=statement.id)
    return invoice


def issue(session: Session, invoice: Invoice, statement: Statement, *, vendor: Vendor, occasion: Occasion) -> Invoice:
    """Number, date and seal a draft. From then on the database refuses to change it. Raises `Invalid` for no draft."""
    if invoice.status != DRAFT or invoice.statement_id != statement.id:
        raise Invalid(f"invoice {invoice.number or invoice.id} is not a draft of statement {statement.id}")
    issued_on = occasion.at.date()
    series = repository.lock_series(session, f"INV-{issued_on.year}")
    series.last_number += 1
    numbered = Numbered(
        number=f"{series.name}-{series.last_number:06}",
        issued_on=issued_on,
        due_on=issued_on + timedelta(days=statement.contract.terms_days),
    )
    text = canonical(
        write_document(
            numbered,
            statement.contract,
            read_figures(statement.document),
            vendor=vendor,
            statement_id=statement.id,
            statement_hash=statement.hash,
        )
    )
    invoice.status = ISSUED
    invoice.number = numbered.number
    invoice.issued_at = occasion.at
    invoice.document = text
    invoice.content_hash = content_hash(text)
    session.flush()
    audit.write(session, occasion, "invoice.issued", numbered.number, hash=invoice.content_hash)
    return invoice


def require_issued(session: Session, number: str) -> dict[str, Any]:
    """The document of the issued invoice *number*. Raises `NotFound`, and `InvoiceAltered` if its hash is wrong."""
    invoice = repository.get_by_number(session, number)
    if invoice is None or invoice.document is None:
        raise NotFound(f"there is no invoice {number}")
    if content_hash(invoice.document) != invoice.content_hash:
        raise InvoiceAltered(f"the content of invoice {number} does not give its hash")
    document: dict[str, Any] = json.loads(invoice.document)
    return document
