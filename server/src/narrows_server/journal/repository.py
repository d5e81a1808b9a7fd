"""Every query about the journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from narrows_server.journal.models import JournalEntry, JournalLine
from narrows_server.paging import Paged, Paging, read_page


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What was posted to one account in one currency; minor units."""

    entity_id: str
    currency: str
    account: str
    debit_minor: int
    credit_minor: int

    @property
    def balance_minor(self) -> int:
        """Positive where debits prevail."""
        return self.debit_minor - self.credit_minor


def list_entries(
    session: Session,
    *,
    entity_id: str | None = None,
    customer_id: str | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
) -> list[JournalEntry]:
    """Entries with their lines, in the order in which they were recorded."""
    query = select(JournalEntry).order_by(JournalEntry.id)
    if entity_id is not None:
        query = query.where(JournalEntry.entity_id == entity_id)
    if customer_id is not None:
        query = query.where(JournalEntry.customer_id == customer_id)
    if first_day is not None:
        query = query.where(JournalEntry.posted_on >= first_day)
    if last_day is not None:
        query = query.where(JournalEntry.posted_on <= last_day)
    return list(session.scalars(query))


def entry_page(session: Session, at: Paging, *, customer_id: str | None = None) -> Paged[JournalEntry]:
    """A page of entries, those recorded last first."""
    query = select(JournalEntry)
    if customer_id is not None:
        query = query.where(JournalEntry.customer_id == customer_id)
    return read_page(session, query, by=(JournalEntry.id,), at=at)


def list_entries_of_invoices(session: Session, invoice_ids: list[str], numbers: list[str]) -> list[JournalEntry]:
    """Entries that name one of the documents, or post to its receivable."""
    touched = select(JournalLine.entry_id).where(JournalLine.invoice_id.in_(invoice_ids))
    query = select(JournalEntry).where(JournalEntry.id.in_(touched) | JournalEntry.subject.in_(numbers))
    return list(session.scalars(query.order_by(JournalEntry.id)))


def balances(session: Session) -> list[Balance]:
    """The trial balance: one row for each entity, currency and account."""
    # Sums of big integers are decimals on PostgreSQL.
    query = (
        select(
            JournalEntry.entity_id,
            JournalEntry.currency,
            JournalLine.account,
            func.sum(JournalLine.debit_minor),
            func.sum(JournalLine.credit_minor),
        )
        .join(JournalLine, JournalLine.entry_id == JournalEntry.id)
        .group_by(JournalEntry.entity_id, JournalEntry.currency, JournalLine.account)
        .order_by(JournalEntry.entity_id, JournalEntry.currency, JournalLine.account)
    )
    return [
        Balance(entity_id=entity, currency=currency, account=account, debit_minor=int(debit), credit_minor=int(credit))
        for entity, currency, account, debit, credit in session.execute(query)
    ]


def receivable_of(session: Session, invoice_id: str) -> int:
    """The balance of one invoice's receivable; minor units."""
    query = select(func.coalesce(func.sum(JournalLine.debit_minor - JournalLine.credit_minor), 0))
    return int(session.scalar(query.where(JournalLine.invoice_id == invoice_id)) or 0)
