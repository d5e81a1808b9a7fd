"""
Prepaid credit of a contract: bought, drawn down by invoices, given back by credit notes.

An append-only ledger; the balance is the sum of its movements and never falls below nothing. Closes draw from it while
they hold the customer's row, so that two of them cannot spend the same credit.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.contracts import repository
from narrows_server.contracts.models import CreditEntry
from narrows_server.errors import Invalid


class Movement(StrEnum):
    """Why the balance changed."""

    BOUGHT = "bought"
    DRAWN = "drawn"  # Negative: paid part of an invoice.
    CARRIED_OVER = "carried_over"  # A month came to less than nothing, which no invoice can say.
    RETURNED = "returned"  # Drawn by an invoice that a credit note has undone.
    WITHDRAWN = "withdrawn"  # Negative: paid out, or carried over by an invoice that a credit note has undone.


def move(
    session: Session,
    contract_id: str,
    movement: Movement,
    amount_minor: int,
    currency: str,
    *,
    period: str | None = None,
    reference: str | None = None,
    occasion: Occasion,
) -> CreditEntry:
    """Add a movement. Raises `Invalid` for nothing, and for more than there is."""
    if amount_minor == 0:
        raise Invalid("a movement of nothing is none")
    balance = repository.credit_balance(session, contract_id)
    if balance + amount_minor < 0:
        raise Invalid(f"contract {contract_id} has {balance} in minor units of {currency}, not {-amount_minor}")
    entry = CreditEntry(
        contract_id=contract_id,
        kind=movement.value,
        amount_minor=amount_minor,
        currency=currency,
        period=period,
        reference=reference,
        recorded_at=occasion.at,
    )
    session.add(entry)
    session.flush()
    audit.write(session, occasion, f"credit.{movement.value}", contract_id, minor=amount_minor, reference=reference)
    return entry
