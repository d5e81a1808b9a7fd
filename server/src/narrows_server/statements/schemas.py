"""What the endpoints of statements and months say, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from narrows_server.invoices.models import Invoice
from narrows_server.rating.lines import Line
from narrows_server.statements.closing import Preview
from narrows_server.statements.life import REASON_CHARACTERS_MAX, Life
from narrows_server.statements.models import Outcome, Statement


class StatementOut(BaseModel):
    """A statement: where it belongs and stands, its hash, and the document itself, signed."""

    id: str
    contract_id: str
    period: str
    version: int
    standing: str
    sent_at: datetime | None
    accepted_by_silence_at: datetime | None
    detail: str | None
    drawn_up_at: datetime
    hash: str
    document: dict[str, Any]

    @classmethod
    def of(cls, statement: Statement, life: Life, document: dict[str, Any]) -> StatementOut:
        return cls(
            id=statement.id,
            contract_id=statement.contract_id,
            period=statement.period,
            version=statement.version,
            standing=life.standing.value,
            sent_at=life.sent_at,
            accepted_by_silence_at=life.accepted_by_silence_at,
            detail=life.detail,
            drawn_up_at=statement.drawn_up_at,
            hash=statement.hash,
            document=document,
        )


class SignatureIn(BaseModel):
    """A signature over the statement's canonical JSON without its signatures."""

    public_key: str = Field(max_length=200)
    signature: str = Field(max_length=2_000)


class AcceptIn(BaseModel):
    """How the customer accepts: a signature, or a note of how they said so."""

    signature: SignatureIn | None = None
    note: str | None = Field(default=None, max_length=REASON_CHARACTERS_MAX)


class ReasonIn(BaseModel):
    """Why a statement is disputed, or drawn up again."""

    reason: str = Field(min_length=1, max_length=REASON_CHARACTERS_MAX)


class LineOut(BaseModel):
    """A line of an invoice, before tax."""

    kind: str
    period: str
    text: str
    minor: int
    currency: str

    @classmethod
    def of(cls, line: Line) -> LineOut:
        return cls(
            kind=line.kind.value,
            period=line.period,
            text=line.text,
            minor=line.amount.minor,
            currency=line.amount.currency,
        )


class PreviewOut(BaseModel):
    """What a close would charge now."""

    contract_id: str
    period: str
    statement_hash: str | None
    held: str | None
    lines: list[LineOut]

    @classmethod
    def of(cls, preview: Preview) -> PreviewOut:
        return cls(
            contract_id=preview.contract_id,
            period=preview.period,
            statement_hash=preview.statement_hash,
            held=preview.held,
            lines=[LineOut.of(line) for line in preview.lines],
        )


class CloseIn(BaseModel):
    """What to close: one contract or all that are active; whether drafts are sent; whether before the month is over."""

    contract_id: str | None = None
    send: bool = False
    early: bool = False


class OutcomeOut(BaseModel):
    """How a contract's month ended."""

    contract_id: str
    period: str
    result: str
    reason: str | None
    statement_id: str | None
    invoice: str | None
    decided_at: datetime

    @classmethod
    def of(cls, outcome: Outcome, invoice: Invoice | None) -> OutcomeOut:
        return cls(
            contract_id=outcome.contract_id,
            period=outcome.period,
            result=outcome.result,
            reason=outcome.reason,
            statement_id=outcome.statement_id,
            invoice=invoice.number if invoice else None,
            decided_at=outcome.decided_at,
        )


class MonthOut(BaseModel):
    """The outcomes of a month, by contract."""

    period: str
    outcomes: list[OutcomeOut]


class PreviewsOut(BaseModel):
    """What closing a month would charge now, by contract."""

    items: list[PreviewOut]
