"""
Where an invoice stands: what is still owed of it, and how late that is. Pure.

Nothing of this is stored with the invoice, which never changes: it follows from the credit notes and payments.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

# Days after which a reminder is in order; the license is never touched by any of them.
REMINDERS = (7, 14, 30)


class Status(StrEnum):
    """Of an issued invoice or credit note."""

    OPEN = "open"
    PARTLY_PAID = "partly_paid"
    OVERDUE = "overdue"
    PAID = "paid"
    CREDITED = "credited"  # All of it.
    ISSUED = "issued"  # A credit note.


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Amounts of one invoice, in minor units."""

    total_minor: int
    credited_minor: int
    paid_minor: int
    due_on: date

    @property
    def receivable_minor(self) -> int:
        """What is still owed: issued − credited − paid."""
        return self.total_minor - self.credited_minor - self.paid_minor

    def days_overdue(self, today: date) -> int:
        """0 unless something is owed after its day."""
        return max(0, (today - self.due_on).days) if self.receivable_minor > 0 else 0

    def reminder(self, today: date) -> int:
        """How many reminders are in order by *today*, from 0 to 3."""
        return sum(1 for days in REMINDERS if self.days_overdue(today) >= days)

    def status(self, today: date) -> Status:
        """The word for it."""
        if self.receivable_minor > 0:
            if self.days_overdue(today):
                return Status.OVERDUE
            return Status.PARTLY_PAID if self.credited_minor or self.paid_minor else Status.OPEN
        return Status.CREDITED if 0 < self.total_minor == self.credited_minor else Status.PAID
