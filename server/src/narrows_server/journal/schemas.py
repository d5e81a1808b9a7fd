"""What the journal's endpoints say, as JSON."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel

from narrows_server.journal.models import JournalEntry
from narrows_server.journal.repository import Balance


class JournalLineOut(BaseModel):
    """One side of an entry, in minor units."""

    account: str
    debit_minor: int
    credit_minor: int
    tax: str | None


class JournalEntryOut(BaseModel):
    """One event of money."""

    id: int
    event: str
    subject: str
    entity_id: str
    customer_id: str
    currency: str
    posted_on: date
    recorded_at: datetime
    lines: list[JournalLineOut]

    @classmethod
    def of(cls, entry: JournalEntry) -> JournalEntryOut:
        lines = [
            JournalLineOut(
                account=line.account, debit_minor=line.debit_minor, credit_minor=line.credit_minor, tax=line.tax
            )
            for line in entry.lines
        ]
        names = cls.model_fields.keys() - {"lines"}
        return cls(lines=lines, **{name: getattr(entry, name) for name in names})


class AccountBalanceOut(BaseModel):
    """What was posted to one account, in minor units; the balance is positive where debits prevail."""

    entity_id: str
    currency: str
    account: str
    debit_minor: int
    credit_minor: int
    balance_minor: int

    @classmethod
    def of(cls, balance: Balance) -> AccountBalanceOut:
        return cls(**{name: getattr(balance, name) for name in cls.model_fields})


class TrialBalanceOut(BaseModel):
    """Every account; the difference of all debits and credits is 0, or something is very wrong."""

    accounts: list[AccountBalanceOut]
    difference_minor: int
