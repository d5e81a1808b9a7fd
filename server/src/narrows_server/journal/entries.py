"""
What each event of money posts. Pure: a document or an amount in, a balanced entry out.

    event                    debit                      credit
    invoice issued           receivable (total)         revenue (net), output tax (tax), by category and rate
    credit note issued       revenue, output tax        receivable, or customer credit where it is of no invoice
    payment received         bank                       customer credit
    payment applied          customer credit            receivable
    payment released         receivable                 customer credit
    refunded, reversed       customer credit            bank

A receivable is what one invoice still has to be paid; customer credit is money that is for no invoice yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Account(StrEnum):
    """The accounts that invoices and payments touch. Exports give them an accountant's numbers."""

    RECEIVABLE = "receivable"
    REVENUE = "revenue"
    OUTPUT_TAX = "output_tax"
    BANK = "bank"
    CUSTOMER_CREDIT = "customer_credit"


class Event(StrEnum):
    """What happened."""

    INVOICE_ISSUED = "invoice_issued"
    CREDIT_NOTE_ISSUED = "credit_note_issued"
    PAYMENT_RECEIVED = "payment_received"
    PAYMENT_APPLIED = "payment_applied"
    PAYMENT_RELEASED = "payment_released"
    PAYMENT_REFUNDED = "payment_refunded"
    PAYMENT_REVERSED = "payment_reversed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One side: a positive amount is a debit, a negative one a credit; minor units."""

    account: Account
    amount_minor: int
    tax: str | None = None  # "S 19": category and rate of revenue and tax.
    invoice_id: str | None = None  # Whose receivable it is.


def invoice_issued(document: Mapping[str, Any], invoice_id: str) -> list[Posting]:
    """The postings of an invoice."""
    receivable = Posting(account=Account.RECEIVABLE, amount_minor=document["total_minor"], invoice_id=invoice_id)
    return _balanced([receivable, *_sales(document, sign=-1)])


def credit_note_issued(document: Mapping[str, Any], invoice_id: str | None) -> list[Posting]:
    """The postings of a credit note over the invoice *invoice_id*, or over none."""
    account = Account.RECEIVABLE if invoice_id else Account.CUSTOMER_CREDIT
    given_back = Posting(account=account, amount_minor=-document["total_minor"], invoice_id=invoice_id)
    return _balanced([*_sales(document, sign=1), given_back])


def bank_moved(amount_minor: int) -> list[Posting]:
    """The postings of money that came in, or went out if negative."""
    return _balanced(
        [
            Posting(account=Account.BANK, amount_minor=amount_minor),
            Posting(account=Account.CUSTOMER_CREDIT, amount_minor=-amount_minor),
        ]
    )


def applied(amount_minor: int, invoice_id: str) -> list[Posting]:
    """The postings of credit that pays an invoice, or is taken back from it if negative."""
    return _balanced(
        [
            Posting(account=Account.CUSTOMER_CREDIT, amount_minor=amount_minor),
            Posting(account=Account.RECEIVABLE, amount_minor=-amount_minor, invoice_id=invoice_id),
        ]
    )


def _sales(document: Mapping[str, Any], *, sign: int) -> list[Posting]:
    postings = []
    for subtotal in document["taxes"]:
        tax = f"{subtotal['category']} {subtotal['rate']}"
        postings += [
            Posting(account=Account.REVENUE, amount_minor=sign * subtotal["base_minor"], tax=tax),
            Posting(account=Account.OUTPUT_TAX, amount_minor=sign * subtotal["tax_minor"], tax=tax),
        ]
    return postings


def _balanced(postings: list[Posting]) -> list[Posting]:
    assert sum(posting.amount_minor for posting in postings) == 0, "an entry balances or is a bug"
    return [posting for posting in postings if posting.amount_minor]
