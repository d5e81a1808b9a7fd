"""
Closing a month of a contract: it ends as invoiced, as nothing due, or as held with the reason.

One transaction per contract holds its statement, its invoice and its outcome. So a close that is interrupted is simply
run again, and one that is run again finds what it did before and does nothing. A preview takes the same road and stops
before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from narrows_metering.terms import Period
from sqlalchemy.orm import Session

from narrows_server import audit, wording
from narrows_server.audit import Occasion
from narrows_server.contracts import repository as contracts
from narrows_server.contracts.contract_document import Acceptance
from narrows_server.contracts.models import Contract
from narrows_server.contracts.month import ContractMonth, Version, month_of, year_of
from narrows_server.contracts.service import require_contract, versions_of
from narrows_server.customers import repository as customers
from narrows_server.errors import NotFound
from narrows_server.rating import charges
from narrows_server.rating.lines import Kind, Line
from narrows_server.rating.rate import rate
from narrows_server.rating.terms import Year
from narrows_server.statements import billing, life, repository, rollup
from narrows_server.statements.drawing import Held, draw, says_the_same
from narrows_server.statements.figures import read_figures
from narrows_server.statements.life import Life
from narrows_server.statements.models import Outcome, Statement
from narrows_server.statements.rated import charged_in, corrections_of, parts_of, parts_of_months
from narrows_server.statements.standing import DRAFT_AFTER, Standing


class Result(StrEnum):
    """How a contract's month ended."""

    INVOICED = "invoiced"
    NOTHING_DUE = "nothing_due"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a close would charge now. *held* says why there is nothing to see yet."""

    contract_id: str
    period: str
    statement_hash: str | None
    lines: tuple[Line, ...]
    held: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One contract's month, with all that is known of it."""

    contract: Contract
    versions: Sequence[Version]
    month: ContractMonth
    outcome: Outcome | None
    kept: Statement | None  # The newest version of the statement.
    undone: tuple[Line, ...]  # What an invoice over an earlier version had charged, and a credit note will undo.


def close(
    session: Session,
    contract_id: str,
    period: Period,
    *,
    occasion: Occasion,
    is_early: bool = False,
    sends: bool = False,
) -> Outcome:
    """
    Close *period* for one contract and return its outcome.

    Invoiced and nothing due are final: closing again returns the same. Held is tried again each time. *is_early*
    closes a month that is not over; what is delivered in the rest of it becomes a correction. *sends* hands drafts to
    their customers. Raises `NotFound`.
    """
    contract = require_contract(session, contract_id)
    customers.lock_customer(session, contract.customer_id)
    outcome = repository.get_outcome(session, contract.id, str(period))
    if outcome is not None and outcome.result != Result.HELD:
        return outcome
    case = _case(session, contract, period, outcome)
    statement = _statement(session, case, occasion, is_early=is_early)
    if isinstance(statement, Held):
        return _decide(session, case, Result.HELD, statement.reason, occasion)
    lines = _lines(session, case, statement)
    if isinstance(lines, Held):
        return _decide(session, case, Result.HELD, lines.reason, occasion)
    figures = read_figures(statement.document)
    if case.kept is None and not figures.has_usage and not any(line.amount.minor for line in lines):
        return _decide(session, case, Result.NOTHING_DUE, figures.reason, occasion)
    if statement is not case.kept:
        _keep(session, statement, case.kept, occasion)
    waiting = _advance(session, case, statement, occasion, sends=sends)
    if waiting is not None:
        return _decide(session, case, Result.HELD, waiting, occasion, statement=statement)
    invoice = billing.invoice(
        session,
        statement,
        lines,
        month=case.month,
        stale_id=outcome.invoice_id if outcome else None,
        undone=case.undone,
        occasion=occasion,
    )
    if isinstance(invoice, Held):
        return _decide(session, case, Result.HELD, invoice.reason, occasion, statement=statement)
    return _decide(session, case, Result.INVOICED, figures.reason, occasion, statement=statement, invoice_id=invoice.id)


def preview(
    session: Session, contract_id: str, period: Period, *, occasion: Occasion, is_early: bool = True
) -> Preview:
    """The lines that a close would invoice now, if the statement were accepted. Writes nothing. Raises `NotFound`."""
    contract = require_contract(session, contract_id)
    outcome = repository.get_outcome(session, contract.id, str(period))
    case = _case(session, contract, period, outcome)
    if outcome is not None and outcome.result == Result.INVOICED and case.kept is not None:
        charged = tuple(charges.lines_of(session, case.kept.id))
        return Preview(
            contract_id=contract_id, period=str(period), statement_hash=case.kept.hash, lines=charged, held=None
        )
    statement = _statement(session, case, occasion, is_early=is_early)
    lines = statement if isinstance(statement, Held) else _lines(session, case, statement)
    return Preview(
        contract_id=contract_id,
        period=str(period),
        statement_hash=None if isinstance(statement, Held) else statement.hash,
        lines=() if isinstance(lines, Held) else lines,
        held=lines.reason if isinstance(lines, Held) else None,
    )


def draw_again(session: Session, statement: Statement, *, reason: str, occasion: Occasion) -> Statement:
    """
    A new version of a statement from what is known now; an invoice over the old one is undone when this is closed.

    Raises `Invalid` if nothing is other than it was, or cannot be drawn up.
    """
    contract = statement.contract
    customers.lock_customer(session, contract.customer_id)
    period = Period.from_text(statement.period)
    case = _case(session, contract, period, repository.get_outcome(session, contract.id, statement.period))
    assert case.kept is not None
    again = draw(session, contract, case.versions, case.month, version=case.kept.version + 1, occasion=occasion)
    if isinstance(again, Held):
        raise life.StepNotPossible(again.reason)
    if says_the_same(case.kept, again):
        raise life.StepNotPossible(f"nothing has changed since statement {case.kept.id} was drawn up")
    _keep(session, again, case.kept, occasion)
    _decide(session, case, Result.HELD, f"drawn up again: {reason}", occasion, statement=again)
    return again


def _case(session: Session, contract: Contract, period: Period, outcome: Outcome | None) -> _Case:
    versions = versions_of(session, contract.id)
    month = month_of(contract.id, versions, period)
    if month is None:
        raise NotFound(f"contract {contract.id} begins on {contract.starts_on} and does not hold in {period}")
    stale = None
    if outcome is not None and outcome.result == Result.HELD and outcome.invoice_id is not None:
        stale = billing.statement_of(session, outcome.invoice_id)
    return _Case(
        contract=contract,
        versions=versions,
        month=month,
        outcome=outcome,
        kept=repository.latest_version(session, contract.id, str(period)),
        undone=tuple(charges.lines_of(session, stale)) if stale else (),
    )


def _statement(session: Session, case: _Case, occasion: Occasion, *, is_early: bool) -> Statement | Held:
    """The statement to close with: what was sent stands; a draft follows what is known until it is sent."""
    kept = case.kept
    if kept is not None and life.life_of(session, kept, now=occasion.at).standing is not Standing.DRAFT:
        return kept
    end = case.month.period.end
    if occasion.at < end and not is_early:
        return Held(reason="the month is not over")
    if occasion.at < end + DRAFT_AFTER and not is_early:
        return Held(
            reason=f"CDNs may still deliver logs; statements are drawn up from {wording.moment(end + DRAFT_AFTER)}"
        )
    version = 1 if kept is None else kept.version + 1
    drawn = draw(session, case.contract, case.versions, case.month, version=version, occasion=occasion)
    if kept is not None and isinstance(drawn, Statement) and says_the_same(kept, drawn):
        return kept
    return drawn


def _lines(session: Session, case: _Case, statement: Statement) -> tuple[Line, ...] | Held:
    """What the month comes to."""
    contract_id, period, document = case.contract.id, statement.period, json.loads(statement.document)
    terms = case.month.document
    year = year_of(terms, case.month.period)
    earlier = [name for name in year.months if name < period]
    is_over = year.ends_with(period)
    needs_all = is_over and (terms.true_up or bool(terms.minimum.year))
    if needs_all:
        outcomes = repository.outcomes_of(session, contract_id)
        for name in earlier:
            if name not in outcomes or outcomes[name].result == Result.HELD:
                return Held(reason=f"the contract's year {year.label} ends; close {name} first")
    book = charges.charged_by_period(session, contract_id)
    for line in case.undone:
        if line.kind is not Kind.CREDIT:
            book[line.period] -= line.amount.minor
    credit = contracts.credit_balance(session, contract_id)
    credit -= sum(line.amount.minor for line in case.undone if line.kind is Kind.CREDIT)
    already = book.pop(period, 0)  # Corrections of this very month, which a new version now holds.
    return rate(
        parts_of(case.month, document["share"]["parts"]),
        period=period,
        currency=terms.currency,
        year=Year(
            label=year.label,
            months=year.weight,
            is_over=is_over,
            charged_minor=charged_in(year, book),
            parts=parts_of_months(session, contract_id, case.versions, earlier, document)
            if is_over and terms.true_up
            else (),
        ),
        corrections=corrections_of(contract_id, case.versions, year, document, book),
        already_minor=already,
        credit_minor=credit,
    )


def _keep(session: Session, statement: Statement, before: Statement | None, occasion: Occasion) -> None:
    rollup.roll_up(statement)
    session.add(statement)
    session.flush()
    rollup.roll_up_assets(session, statement)
    audit.write(session, occasion, "statement.drawn_up", statement.id, hash=statement.hash)
    if before is not None:
        life.supersede(session, before, by=statement.id, occasion=occasion)


def _advance(session: Session, case: _Case, statement: Statement, occasion: Occasion, *, sends: bool) -> str | None:
    """Take the steps that need nobody; what the statement then waits for, or None if it may be invoiced."""
    known = life.life_of(session, statement, now=occasion.at)
    if known.standing is Standing.DRAFT and case.month.document.acceptance is Acceptance.ON_CLOSE:
        life.send(session, statement, occasion=occasion)
        known = life.accept(session, statement, detail="the contract makes a close binding", occasion=occasion)
    elif known.standing is Standing.DRAFT and sends:
        known = life.send(session, statement, occasion=occasion)
    return _waits_for(known)


def _waits_for(known: Life) -> str | None:
    if known.standing is Standing.ACCEPTED:
        return None
    if known.standing is Standing.DISPUTED:
        return f"disputed: {known.detail}"
    if known.standing is Standing.SENT:
        assert known.accepted_by_silence_at is not None
        return f"sent to the customer; silence accepts it on {wording.moment(known.accepted_by_silence_at)}"
    return "a draft; send it to the customer"


def _decide(
    session: Session,
    case: _Case,
    result: Result,
    reason: str | None,
    occasion: Occasion,
    *,
    statement: Statement | None = None,
    invoice_id: str | None = None,
) -> Outcome:
    """Write the outcome, unless it is the one that stands there already. An invoice to be undone stays named."""
    period, outcome = str(case.month.period), case.outcome
    statement_id = statement.id if statement else None
    if invoice_id is None and outcome is not None:
        invoice_id = outcome.invoice_id
    if outcome is not None and (outcome.result, outcome.reason, outcome.statement_id) == (result, reason, statement_id):
        return outcome
    if outcome is None:
        outcome = Outcome(contract_id=case.contract.id, period=period)
        session.add(outcome)
    outcome.result = result.value
    outcome.reason = reason
    outcome.statement_id = statement_id
    outcome.invoice_id = invoice_id
    outcome.decided_at = occasion.at
    audit.write(session, occasion, f"month.{result.value}", f"{case.contract.id}.{period}", reason=reason)
    session.flush()
    return outcome
