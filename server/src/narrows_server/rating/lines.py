"""The lines of an invoice, before tax: what rating gives and what an invoice is written from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from narrows_metering.money import Money


class Kind(StrEnum):
    """Why a line stands on an invoice."""

    SHARE = "share"  # Our part of the money saved in the line's period.
    FLOOR = "floor"  # What lifts a month's share to the contract's floor.
    MINIMUM = "minimum"  # What lifts a month or a year to the contract's minimum.
    CAP = "cap"  # Negative: what a cap takes off.
    CREDIT = "prepaid_credit"  # Negative: what is paid from a credit bought earlier.
    TRUE_UP = "true_up"  # The difference at the end of a contract's year.
    CORRECTION = "correction"  # Late usage or a changed statement of an earlier period, which the line names.


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of an invoice; negative amounts lower the total."""

    kind: Kind
    period: str  # The month or the contract's year that the amount belongs to: "2026-11", "2026-11/2027-10".
    text: str  # For the reader: "25 % of 1,234.56 EUR saved, tier 1".
    amount: Money  # Without tax, in the contract's currency.

    def to_dict(self) -> dict[str, object]:
        """The line as it stands in an invoice's document."""
        return {"kind": self.kind.value, "period": self.period, "text": self.text, "amount": self.amount.to_dict()}
