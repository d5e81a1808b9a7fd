"""Every query about statements and outcomes."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from narrows_server.contracts.models import Contract
from narrows_server.paging import Paged, Paging, read_page
from narrows_server.statements.models import Outcome, Statement


def get_statement(session: Session, statement_id: str) -> Statement | None:
    return session.get(Statement, statement_id)


def get_outcome(session: Session, contract_id: str, period: str) -> Outcome | None:
    return session.get(Outcome, (contract_id, period))


def last_closed_period(session: Session, contract_id: str) -> str | None:
    """The last month of a contract that was invoiced or had nothing due."""
    query = select(func.max(Outcome.period)).where(Outcome.contract_id == contract_id, Outcome.result != "held")
    return session.scalar(query)


def list_statements(session: Session) -> list[Statement]:
    """Every statement, the latest period first."""
    return list(session.scalars(select(Statement).order_by(Statement.period.desc(), Statement.id)))


def statement_page(session: Session, at: Paging, *, customer_id: str | None = None) -> Paged[Statement]:
    """A page of statements, the latest period first: of all customers, or of one."""
    query = select(Statement)
    if customer_id is not None:
        query = query.join(Contract, Contract.id == Statement.contract_id).where(Contract.customer_id == customer_id)
    return read_page(session, query, by=(Statement.period, Statement.id), at=at)


def list_outcomes(session: Session) -> list[Outcome]:
    """Every outcome, the latest period first."""
    return list(session.scalars(select(Outcome).order_by(Outcome.period.desc(), Outcome.contract_id)))
