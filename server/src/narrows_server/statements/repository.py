"""Every query about statements, their steps, and outcomes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, defer

from narrows_server.contracts.models import Contract
from narrows_server.paging import Paged, Paging, read_page
from narrows_server.statements.models import Outcome, Statement, StatementStep
from narrows_server.statements.standing import Step

WITHOUT_DOCUMENT = defer(Statement.document)  # Which may be megabytes; it is read when it is asked for.


def get_statement(session: Session, statement_id: str) -> Statement | None:
    return session.get(Statement, statement_id)


def latest_version(session: Session, contract_id: str, period: str) -> Statement | None:
    """The statement of a month that no other supersedes."""
    query = select(Statement).where(Statement.contract_id == contract_id, Statement.period == period)
    return session.scalars(query.order_by(Statement.version.desc()).limit(1)).first()


def list_statements_since(session: Session, contract_id: str, period: str) -> list[Statement]:
    """The statements of *period* and of later months that no others supersede, by month."""
    query = select(Statement).where(Statement.contract_id == contract_id, Statement.period >= period)
    latest = {row.period: row for row in session.scalars(query.order_by(Statement.version))}
    return [latest[name] for name in sorted(latest)]


def list_steps(session: Session, statement_id: str) -> list[StatementStep]:
    """The steps of a statement in their order."""
    query = select(StatementStep).where(StatementStep.statement_id == statement_id).order_by(StatementStep.id)
    return list(session.scalars(query))


def steps_by_statement(session: Session, statement_ids: Sequence[str] | None = None) -> dict[str, list[StatementStep]]:
    """The steps of these statements, or of all, each in their order."""
    query = select(StatementStep).order_by(StatementStep.id)
    if statement_ids is not None:
        query = query.where(StatementStep.statement_id.in_(statement_ids))
    steps: dict[str, list[StatementStep]] = {}
    for step in session.scalars(query):
        steps.setdefault(step.statement_id, []).append(step)
    return steps


def get_outcome(session: Session, contract_id: str, period: str) -> Outcome | None:
    return session.get(Outcome, (contract_id, period))


def outcomes_of(session: Session, contract_id: str) -> dict[str, Outcome]:
    """By month, how a contract's months ended."""
    query = select(Outcome).where(Outcome.contract_id == contract_id)
    return {outcome.period: outcome for outcome in session.scalars(query)}


def last_closed_period(session: Session, contract_id: str) -> str | None:
    """The last month of a contract that was invoiced or had nothing due."""
    query = select(func.max(Outcome.period)).where(Outcome.contract_id == contract_id, Outcome.result != "held")
    return session.scalar(query)


def list_statements(session: Session) -> list[Statement]:
    """Every version of every statement, the latest period first."""
    query = select(Statement).order_by(Statement.period.desc(), Statement.contract_id, Statement.version.desc())
    return list(session.scalars(query))


def list_current(
    session: Session,
    *,
    since: str = "",
    customer_id: str | None = None,
    is_sent: bool = True,
    count: int | None = None,
) -> list[Statement]:
    """
    Of every month from *since* on the statement that no other supersedes, the latest month first; at most *count*.

    Of all customers, or those of one: what was sent to it, or with drafts.
    """
    query = select(Statement).options(WITHOUT_DOCUMENT).where(Statement.period >= since)
    query = query.order_by(Statement.period.desc(), Statement.contract_id, Statement.version.desc())
    if customer_id is not None:
        query = _sent_to(query, customer_id) if is_sent else _of(query, customer_id)
    current: dict[tuple[str, str], Statement] = {}
    for statement in session.scalars(query):
        current.setdefault((statement.period, statement.contract_id), statement)
    return list(current.values())[:count]


def statement_page(session: Session, at: Paging, *, customer_id: str | None = None) -> Paged[Statement]:
    """A page of statements, the latest period first: of all customers, or those that were sent to one."""
    query = select(Statement).options(WITHOUT_DOCUMENT)
    if customer_id is not None:
        query = _sent_to(query, customer_id)
    return read_page(session, query, by=(Statement.period, Statement.id), at=at)


def count_outcomes(session: Session) -> dict[str, dict[str, int]]:
    """By month, how many contracts ended how."""
    counts = select(Outcome.period, Outcome.result, func.count()).group_by(Outcome.period, Outcome.result)
    found: dict[str, dict[str, int]] = {}
    for period, result, count in session.execute(counts):
        found.setdefault(period, {})[result] = count
    return found


def count_held(session: Session, *, since: str) -> dict[str, int]:
    """By month from *since* on that has any, how many contracts are held; the earliest first."""
    held = select(Outcome.period, func.count()).where(Outcome.result == "held", Outcome.period >= since)
    rows = session.execute(held.group_by(Outcome.period).order_by(Outcome.period))
    return {row.period: row[1] for row in rows}


def first_held(session: Session, period: str) -> Outcome:
    """One of the contracts that are held in a month that has any, always the same."""
    query = select(Outcome).where(Outcome.period == period, Outcome.result == "held")
    return session.scalars(query.order_by(Outcome.contract_id).limit(1)).one()


def list_outcomes(session: Session, *, period: str | None = None) -> list[Outcome]:
    """Every outcome, or those of one month; the latest period first."""
    query = select(Outcome).order_by(Outcome.period.desc(), Outcome.contract_id)
    return list(session.scalars(query if period is None else query.where(Outcome.period == period)))


def _of(query: Select[Statement], customer_id: str) -> Select[Statement]:
    return query.join(Contract, Contract.id == Statement.contract_id).where(Contract.customer_id == customer_id)


def _sent_to(query: Select[Statement], customer_id: str) -> Select[Statement]:
    """Those of one customer that were handed to it: a draft does not exist for it."""
    sent = select(StatementStep.id).where(
        StatementStep.statement_id == Statement.id, StatementStep.step == Step.SEND.value
    )
    return _of(query, customer_id).where(sent.exists())
