"""
Closing a month: every active contract ends as invoiced, as nothing due, or as held with the reason.

One transaction per contract holds its statement, its invoice and its outcome. So a close that is interrupted is
simply run again, and one that is run again finds what it did before and does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import rfc8785
from narrows_metering.errors import MeteringError
from narrows_metering.money import Money
from narrows_metering.record import Record
from narrows_metering.statement import draw_up, statement_hash
from narrows_metering.terms import Period
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.contracts import repository as contracts
from narrows_server.contracts.models import Contract
from narrows_server.contracts.month import ContractMonth
from narrows_server.contracts.service import TermsIncomplete, active_month, require_contract, require_tariff, terms_for
from narrows_server.customers import repository as customers
from narrows_server.errors import NotFound
from narrows_server.invoices import service as invoices
from narrows_server.invoices.order import ContractNote, InvoiceOrder, StatementNote
from narrows_server.parties.service import default_entity
from narrows_server.rating.lines import Kind, Line
from narrows_server.statements import repository
from narrows_server.statements.figures import Figures, read_figures
from narrows_server.statements.models import Outcome, Statement
from narrows_server.usage import repository as usage
from narrows_server.usage.models import Installation


class Result(StrEnum):
    """How a contract's month ended."""

    INVOICED = "invoiced"
    NOTHING_DUE = "nothing_due"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """Why a month cannot be closed yet, as a sentence for the person who closes it."""

    reason: str


def active_contracts(session: Session, period: Period) -> list[str]:
    """The ids of the contracts that hold on some day of the calendar month *period*, in a fixed order."""
    last_day = date(period.year, period.month, period.days_in_month)
    begun = contracts.list_contracts_begun_by(session, last_day)
    return [contract.id for contract in begun if active_month(session, contract.id, period) is not None]


def first_open_day(session: Session, contract_id: str) -> date:
    """The first day of the first month of a contract that is not closed, or its own first day if none is."""
    closed = repository.last_closed_period(session, contract_id)
    if closed is None:
        return require_contract(session, contract_id).starts_on
    month = Period.from_text(closed)
    return date(month.year, month.month, 1) + timedelta(days=month.days_in_month)


def close(session: Session, contract_id: str, period: Period, *, occasion: Occasion, is_early: bool = False) -> Outcome:
    """
    Close *period* for one contract and return its outcome.

    Invoiced and nothing due are final: closing again returns the same. Held is tried again each time. *is_early*
    closes a month that is not over; what is delivered in the rest of it will not be billed. Raises `NotFound`.
    """
    contract = require_contract(session, contract_id)
    customers.lock_customer(session, contract.customer_id)
    outcome = repository.get_outcome(session, contract.id, str(period))
    if outcome is not None and outcome.result != Result.HELD:
        return outcome
    month = active_month(session, contract.id, period)
    if month is None:
        raise NotFound(f"contract {contract.id} begins on {contract.starts_on} and does not hold in {period}")
    if occasion.at < month.period.end and not is_early:
        return _decide(session, contract, period, occasion, Result.HELD, reason="the month is not over")

    statement = _draw_up(session, contract, month, occasion)
    if isinstance(statement, _Held):
        return _decide(session, contract, period, occasion, Result.HELD, reason=statement.reason)
    figures = read_figures(statement.document)
    if not figures.has_usage:
        return _decide(session, contract, period, occasion, Result.NOTHING_DUE, reason=figures.reason)
    try:
        with session.begin_nested():
            session.add(statement)
            session.flush()
            audit.write(session, occasion, "statement.drawn_up", statement.id, hash=statement.hash)
            order = _order(session, statement, figures, month)
            invoice = invoices.draft(session, order, occasion=occasion)
            invoices.issue(session, invoice, occasion=occasion)
    except invoices.TaxUndecided as error:
        return _decide(session, contract, period, occasion, Result.HELD, reason=error.detail)
    return _decide(
        session,
        contract,
        period,
        occasion,
        Result.INVOICED,
        reason=figures.reason,
        statement_id=statement.id,
        invoice_id=invoice.id,
    )


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


def _draw_up(session: Session, contract: Contract, month: ContractMonth, occasion: Occasion) -> Statement | _Held:
    installations = usage.list_installations(session, contract_id=contract.id)
    records = {
        installation.id: usage.read_records(session, installation.id, last_seq=installation.head_seq)
        for installation in installations
    }
    try:
        terms = terms_for(session, month)
        document = draw_up(terms, period=month.period, records_by_installation=records, drawn_up_at=occasion.at)
    except TermsIncomplete as lacking:
        return _Held(reason=lacking.detail)
    except MeteringError as error:
        return _Held(reason=f"the statement cannot be drawn up: {error}")
    incomplete = _find_incomplete(installations, document)
    if incomplete is not None:
        return _Held(reason=f"the records of installation {incomplete} are not the ones that we gave a receipt for")
    return Statement(
        id=f"{contract.id}.{month.period}",
        contract_id=contract.id,
        period=str(month.period),
        drawn_up_at=occasion.at,
        hash=statement_hash(document),
        document=rfc8785.dumps(document).decode(),
        contract=contract,
    )


def _order(session: Session, statement: Statement, figures: Figures, month: ContractMonth) -> InvoiceOrder:
    """The invoice over the share of one statement."""
    contract, terms, period = statement.contract, month.document, month.period
    money = Money(minor=figures.share_minor, currency=figures.currency)
    text = f"{figures.share_percent} % of {Money(minor=figures.value_minor, currency=figures.valued_in)} saved"
    return InvoiceOrder(
        entity_id=terms.legal_entity or default_entity(session).id,
        customer_id=contract.customer_id,
        currency=figures.currency,
        lines=(Line(kind=Kind.SHARE, period=str(period), text=text, amount=money),),
        first_day=date(period.year, period.month, period.first_day),
        last_day=date(period.year, period.month, period.last_day),
        terms_days=terms.payment_days,
        contract=ContractNote(
            id=contract.id,
            baseline=terms.baseline,
            metric=terms.metric,
            tariff=require_tariff(session, terms.tariff).name,
        ),
        statement=StatementNote(id=statement.id, hash=statement.hash),
        figures=figures,
    )


def _find_incomplete(installations: list[Installation], document: dict[str, Any]) -> str | None:
    """An installation whose records, as read, do not end where its last receipt says: rows have been lost."""
    proofs = {proof["installation_id"]: proof for proof in document["proofs"]["installations"]}
    for installation in installations:
        proof = proofs.get(installation.id)
        if proof is None or (proof["last_seq"], proof["head_hash"]) != (installation.head_seq, installation.head_hash):
            return installation.id
    return None


def _decide(
    session: Session,
    contract: Contract,
    period: Period,
    occasion: Occasion,
    result: Result,
    *,
    reason: str | None,
    statement_id: str | None = None,
    invoice_id: str | None = None,
) -> Outcome:
    """Write the outcome, unless it is the one that stands there already."""
    outcome = repository.get_outcome(session, contract.id, str(period))
    if outcome is not None and (outcome.result, outcome.reason) == (result, reason):
        return outcome
    if outcome is None:
        outcome = Outcome(contract_id=contract.id, period=str(period))
        session.add(outcome)
    outcome.result = result.value
    outcome.reason = reason
    outcome.statement_id = statement_id
    outcome.invoice_id = invoice_id
    outcome.decided_at = occasion.at
    audit.write(session, occasion, f"month.{result.value}", f"{contract.id}.{period}", reason=reason)
    session.flush()
    return outcome
