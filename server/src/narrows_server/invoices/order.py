"""
What an invoice is written from: lines before tax, who to whom, and for what.

This is what a month's close hands over. It is kept with the draft as JSON, so that a draft can be issued by another
process, or another day.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Self

from narrows_metering.money import Money

from narrows_server.rating.lines import Kind, Line
from narrows_server.statements.figures import Figures

LINES_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementNote:
    """The statement that the lines come from, by the hash that `narrows-recompute` prints."""

    id: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractNote:
    """What the paper says of the contract."""

    id: str
    baseline: str | None = None
    metric: str | None = None
    tariff: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRate:
    """What one unit of the invoice's currency is in the currency of the seller's tax return (BT-6, BT-111)."""

    currency: str
    rate: Decimal
    on: date
    source: str  # "ECB".


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceOrder:
    """One invoice that is to be written. All lines are in *currency*; their sum must not be negative."""

    entity_id: str
    customer_id: str
    currency: str
    lines: tuple[Line, ...]
    first_day: date  # Of the period of supply.
    last_day: date
    terms_days: int = 30
    contract: ContractNote | None = None
    statement: StatementNote | None = None
    figures: Figures | None = None  # Of the statement: the bandwidth that the paper begins with.
    exchange: ExchangeRate | None = None

    def to_text(self) -> str:
        """As it is kept with a draft."""
        document = asdict(self)
        document["lines"] = [line.to_dict() for line in self.lines]
        return json.dumps(document, default=str, ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read `to_text`'s result."""
        document = json.loads(text)
        exchange = document["exchange"]
        if exchange is not None:
            exchange = ExchangeRate(
                currency=exchange["currency"],
                rate=Decimal(exchange["rate"]),
                on=date.fromisoformat(exchange["on"]),
                source=exchange["source"],
            )
        notes = {"contract": ContractNote, "statement": StatementNote, "figures": Figures}
        read = {name: kind(**document[name]) if document[name] else None for name, kind in notes.items()}
        days = {name: date.fromisoformat(document[name]) for name in ("first_day", "last_day")}
        lines = tuple(line_from_dict(line) for line in document["lines"])
        return cls(**{**document, **read, **days, "lines": lines, "exchange": exchange})


def line_from_dict(document: Mapping[str, Any]) -> Line:
    """Read `Line.to_dict`'s result."""
    return Line(
        kind=Kind(document["kind"]),
        period=document["period"],
        text=document["text"],
        amount=Money(**document["amount"]),
    )
