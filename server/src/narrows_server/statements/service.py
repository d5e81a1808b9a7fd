"""Statements and closed months, for everybody else: which contracts a month has, and what stands behind a statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from narrows_metering.errors import MeteringError
from narrows_metering.record import Record
from narrows_metering.terms import Period
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.contracts import repository as contracts
from narrows_server.contracts.month import Version, holds_in
from narrows_server.contracts.service import active_month, read_version, require_contract
from narrows_server.database import Database
from narrows_server.errors import Invalid, NotFound
from narrows_server.statements import repository
from narrows_server.statements.closing import Preview, Result, close, draw_again, preview
from narrows_server.statements.models import Outcome, Statement
from narrows_server.usage import repository as usage

__all__ = [
    "Preview",
    "Result",
    "active_by_month",
    "active_contracts",
    "close",
    "close_month",
    "draw_again",
    "evidence",
    "first_open_day",
    "preview",
    "require_statement",
]


def active_contracts(session: Session, period: Period) -> list[str]:
    """The ids of the contracts that hold on some day of the calendar month *period*, in a fixed order."""
    return active_by_month(session, [period])[period]


def active_by_month(session: Session, periods: Sequence[Period]) -> dict[Period, list[str]]:
    """By calendar month, the ids of the contracts that hold on some day of it, in a fixed order."""
    versions: dict[str, list[Version]] = {}
    for row in contracts.list_all_versions(session):
        versions.setdefault(row.contract_id, []).append(read_version(row))
    return {period: [name for name, known in versions.items() if holds_in(known, period)] for period in periods}


def close_month(
    database: Database,
    contract_ids: Sequence[str],
    period: Period,
    *,
    occasion: Callable[[], Occasion],
    is_early: bool = False,
    sends: bool = False,
) -> Iterator[Outcome]:
    """
    Close *period* for one contract after the other, each in a transaction of its own, and give their outcomes.

    Stop it anywhere and run it again. A contract that cannot be closed is held with what went wrong, so that none of
    the others waits for it and none is forgotten.
    """
    for contract_id in contract_ids:
        try:
            with database.transaction() as session:
                outcome = close(session, contract_id, period, occasion=occasion(), is_early=is_early, sends=sends)
        except (Invalid, MeteringError, NotFound) as error:
            with database.transaction() as session:
                outcome = _hold(session, contract_id, period, error, occasion())
        yield outcome


def first_open_day(session: Session, contract_id: str) -> date:
    """The first day of the first month of a contract that is not closed, or its own first day if none is."""
    closed = repository.last_closed_period(session, contract_id)
    if closed is None:
        return require_contract(session, contract_id).starts_on
    month = Period.from_text(closed)
    return date(month.year, month.month, 1) + timedelta(days=month.days_in_month)


def require_statement(session: Session, statement_id: str) -> Statement:
    """The statement with this id. Raises `NotFound`."""
    statement = repository.get_statement(session, statement_id)
    if statement is None:
        raise NotFound(f"there is no statement {statement_id}")
    return statement


def evidence(session: Session, document: dict[str, Any]) -> dict[str, list[Record]]:
    """By installation, the records that a statement's *document* was drawn up from: what `narrows-recompute` needs."""
    return {
        proof["installation_id"]: list(
            usage.read_records(session, proof["installation_id"], last_seq=proof["last_seq"])
        )
        for proof in document["proofs"]["installations"]
    }


def _hold(session: Session, contract_id: str, period: Period, error: Exception, occasion: Occasion) -> Outcome:
    """Hold an active contract with what went wrong. Raises *error* for one that is not."""
    if contracts.get_contract(session, contract_id) is None or active_month(session, contract_id, period) is None:
        raise error
    reason = str(error)
    outcome = repository.get_outcome(session, contract_id, str(period))
    if outcome is None:
        outcome = Outcome(contract_id=contract_id, period=str(period), statement_id=None, invoice_id=None)
        session.add(outcome)
    outcome.result, outcome.reason, outcome.decided_at = Result.HELD.value, reason, occasion.at
    audit.write(session, occasion, "month.held", f"{contract_id}.{period}", reason=reason)
    session.flush()
    return outcome
