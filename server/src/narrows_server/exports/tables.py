"""
Tables as CSV (RFC 4180, UTF-8): invoices, their lines, payments, the journal, statements of account.

Amounts are exact decimals in major units with a point, beside their currency. A text that a spreadsheet would take for
a formula gets an apostrophe before it (OWASP, "CSV Injection"): names come from outside.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from narrows_server.invoices import repository as invoices
from narrows_server.invoices.einvoice import amount
from narrows_server.invoices.models import Kind as Document
from narrows_server.invoices.service import document_of
from narrows_server.journal import repository as journal
from narrows_server.journal.models import JournalEntry
from narrows_server.payments import repository as payments
from narrows_server.payments.standing import Status

INVOICES = (
    "number", "kind", "issued_on", "due_on", "seller", "customer_id", "customer", "country", "vat_id", "contract_id",
    "statement_id", "credits", "first_day", "last_day", "currency", "net", "tax", "total", "credited", "paid",
    "receivable", "status", "content_hash",
)  # fmt: skip
LINES = (
    "number", "line", "kind", "period", "label", "currency", "net", "tax_category", "tax_rate", "customer_id",
    "issued_on",
)  # fmt: skip
PAYMENTS = (
    "id", "kind", "received_on", "entity_id", "customer_id", "currency", "amount", "unused", "reference", "of",
    "credit_note", "note",
)  # fmt: skip
JOURNAL = (
    "entry", "posted_on", "recorded_at", "event", "subject", "entity_id", "customer_id", "currency", "position",
    "account", "debit", "credit", "tax", "invoice",
)  # fmt: skip
ACCOUNT = ("day", "kind", "reference", "currency", "amount", "balance")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Table(StrEnum):
    """What there is as CSV."""

    INVOICES = "invoices"
    LINES = "lines"
    PAYMENTS = "payments"
    JOURNAL = "journal"


def write(
    table: Table,
    session: Session,
    *,
    entity_id: str | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
    today: date,
) -> str:
    """A whole table of these days."""
    if table is Table.INVOICES:
        return invoices_csv(session, entity_id=entity_id, first_day=first_day, last_day=last_day, today=today)
    if table is Table.LINES:
        return lines_csv(session, entity_id=entity_id, first_day=first_day, last_day=last_day)
    if table is Table.PAYMENTS:
        return payments_csv(session, entity_id=entity_id, first_day=first_day, last_day=last_day)
    return journal_csv(journal.list_entries(session, entity_id=entity_id, first_day=first_day, last_day=last_day))


def invoices_csv(
    session: Session,
    *,
    entity_id: str | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
    today: date,
) -> str:
    """Invoices and credit notes issued in these days, and where they stand *today*."""
    issued = invoices.list_issued(session, entity_id=entity_id, first_day=first_day, last_day=last_day)
    standings = payments.standings(session, issued)
    rows = []
    for invoice in issued:
        document, standing = document_of(invoice), standings[invoice.id]
        is_invoice = invoice.kind == Document.INVOICE
        currency = invoice.currency
        money = {name: amount(document[f"{name}_minor"], currency) for name in ("net", "tax", "total")}
        rows.append(
            {
                **money,
                "number": invoice.number,
                "kind": invoice.kind,
                "issued_on": document["issued_on"],
                "due_on": document["due_on"],
                "seller": document["seller"]["name"],
                "customer_id": invoice.customer_id,
                "customer": document["buyer"]["name"],
                "country": document["buyer"]["country"],
                "vat_id": document["buyer"]["vat_id"],
                "contract_id": document["contract"] and document["contract"]["id"],
                "statement_id": document["statement"] and document["statement"]["id"],
                "credits": document["credits"] and document["credits"]["number"],
                **document["period"],
                "currency": currency,
                "credited": amount(standing.credited_minor, currency) if is_invoice else "",
                "paid": amount(standing.paid_minor, currency) if is_invoice else "",
                "receivable": amount(standing.receivable_minor, currency) if is_invoice else "",
                "status": standing.status(today).value if is_invoice else Status.ISSUED.value,
                "content_hash": invoice.content_hash,
            }
        )
    return _csv(INVOICES, rows)


def lines_csv(
    session: Session, *, entity_id: str | None = None, first_day: date | None = None, last_day: date | None = None
) -> str:
    """The lines of invoices, and those of credit notes with their sign turned: the column adds up to the revenue."""
    rows = []
    for invoice in invoices.list_issued(session, entity_id=entity_id, first_day=first_day, last_day=last_day):
        document = document_of(invoice)
        sign = 1 if invoice.kind == Document.INVOICE else -1
        rows += [
            {
                "number": invoice.number,
                "line": line["id"],
                "kind": line["kind"],
                "period": line["period"],
                "label": line["text"],
                "currency": invoice.currency,
                "net": amount(sign * line["net_minor"], invoice.currency),
                "tax_category": line["category"],
                "tax_rate": line["rate"],
                "customer_id": invoice.customer_id,
                "issued_on": document["issued_on"],
            }
            for line in document["lines"]
        ]
    return _csv(LINES, rows)


def payments_csv(
    session: Session, *, entity_id: str | None = None, first_day: date | None = None, last_day: date | None = None
) -> str:
    """Money that came and went in these days of the bank."""
    rows = [
        {
            "id": payment.id,
            "kind": payment.kind,
            "received_on": payment.received_on.isoformat(),
            "entity_id": payment.entity_id,
            "customer_id": payment.customer_id,
            "currency": payment.currency,
            "amount": amount(payment.amount_minor, payment.currency),
            "unused": amount(payments.unused_of(session, payment), payment.currency)
            if payment.amount_minor > 0
            else "",
            "reference": payment.reference,
            "of": payment.of_id,
            "credit_note": payment.invoice_id,
            "note": payment.note,
        }
        for payment in payments.list_payments(session)
        if entity_id in (None, payment.entity_id)
        and (first_day is None or first_day <= payment.received_on)
        and (last_day is None or payment.received_on <= last_day)
    ]
    return _csv(PAYMENTS, rows)


def journal_csv(entries: Iterable[JournalEntry]) -> str:
    """Entries, a row for each of their sides."""
    rows = [
        {
            "entry": entry.id,
            "posted_on": entry.posted_on.isoformat(),
            "recorded_at": entry.recorded_at.isoformat(),
            "event": entry.event,
            "subject": entry.subject,
            "entity_id": entry.entity_id,
            "customer_id": entry.customer_id,
            "currency": entry.currency,
            "position": line.position,
            "account": line.account,
            "debit": amount(line.debit_minor, entry.currency),
            "credit": amount(line.credit_minor, entry.currency),
            "tax": line.tax,
            "invoice": line.invoice_id,
        }
        for entry in entries
        for line in entry.lines
    ]
    return _csv(JOURNAL, rows)


def account_csv(account: Mapping[str, Any]) -> str:
    """A statement of account, from its opening balance to its closing one."""
    currency = account["currency"]
    opening = {"day": account["first_day"], "kind": "opening", "minor": 0, "balance_minor": account["opening_minor"]}
    closing = {"day": account["last_day"], "kind": "closing", "minor": 0, "balance_minor": account["closing_minor"]}
    rows = [
        {
            **line,
            "currency": currency,
            "amount": amount(line["minor"], currency),
            "balance": amount(line["balance_minor"], currency),
        }
        for line in (opening, *account["lines"], closing)
    ]
    return _csv(ACCOUNT, rows)


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(column, row.get(column)) for column in columns])
    return out.getvalue()


_NUMBERS = frozenset({"net", "tax", "total", "amount", "balance", "debit", "credit", "credited", "paid", "receivable"})


def _cell(column: str, value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if column not in _NUMBERS and text.startswith(_FORMULA) else text
