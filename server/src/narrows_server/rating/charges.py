"""What a contract was charged: written by closes, undone by credit notes, added up by months and years."""

from __future__ import annotations

from collections.abc import Sequence

from narrows_metering.money import Money
from sqlalchemy import select
from sqlalchemy.orm import Session

from narrows_server.audit import Occasion
from narrows_server.rating.lines import Kind, Line
from narrows_server.rating.models import Charge


def record(
    session: Session,
    contract_id: str,
    lines: Sequence[Line],
    *,
    closed_in: str,
    statement_id: str,
    occasion: Occasion,
) -> None:
    """Keep *lines*, in their order."""
    session.add_all(
        Charge(
            contract_id=contract_id,
            closed_in=closed_in,
            statement_id=statement_id,
            position=position,
            kind=line.kind.value,
            period=line.period,
            text=line.text,
            amount_minor=line.amount.minor,
            currency=line.amount.currency,
            recorded_at=occasion.at,
        )
        for position, line in enumerate(lines, start=1)
    )
    session.flush()


def reverse(session: Session, contract_id: str, *, closed_in: str, statement_id: str, occasion: Occasion) -> list[Line]:
    """Undo what was charged with a statement; the lines that were undone, with the signs that they had."""
    lines = lines_of(session, statement_id)
    undone = [
        Line(kind=line.kind, period=line.period, text=f"Undone: {line.text}", amount=_negative(line.amount))
        for line in lines
    ]
    record(session, contract_id, undone, closed_in=closed_in, statement_id=statement_id, occasion=occasion)
    return lines


def lines_of(session: Session, statement_id: str) -> list[Line]:
    """The lines that were charged with a statement."""
    query = select(Charge).where(Charge.statement_id == statement_id).order_by(Charge.id)
    return [
        Line(
            kind=Kind(row.kind),
            period=row.period,
            text=row.text,
            amount=Money(minor=row.amount_minor, currency=row.currency),
        )
        for row in session.scalars(query)
    ]


def charged_by_period(session: Session, contract_id: str) -> dict[str, int]:
    """By month and by contract's year, what was charged for it, without what prepaid credit paid."""
    query = select(Charge.period, Charge.amount_minor).where(
        Charge.contract_id == contract_id, Charge.kind != Kind.CREDIT.value
    )
    book: dict[str, int] = {}
    for period, minor in session.execute(query):
        book[period] = book.get(period, 0) + minor
    return book


def _negative(amount: Money) -> Money:
    return Money(minor=-amount.minor, currency=amount.currency)
