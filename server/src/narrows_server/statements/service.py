"""
Closing a month: every active contract ends as invoiced, as nothing due, or as held with the reason.

One transaction per contract holds its statement, its invoice and its outcome. So a close that is interrupted is
simply run again, and one that is run again finds what it did before and does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
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
from narrows_server.customers import repository as customers
from narrows_server.customers.models import Contract
from narrows_server.customers.service import require_contract, terms_of
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
    """The ids of the contracts that have begun by the end of *period*, in a fixed order."""
    last_day = (period.end - timedelta(days=1)).date()
    return [contract.id for contract in customers.list_contracts_begun_by(session, last_day)]


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
    if contract.starts_on > (period.end - timedelta(days=1)).date():
        raise NotFound(f"contract {contract.id} begins on {contract.starts_on}, after {period}")
    if occasion.at < period.end and not is_early:
        return _decide(session, contract, period, occasion, Result.HELD, reason="the month is not over")

    statement = _draw_up(session, contract, period, occasion)
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
            invoice = invoices.draft(session, _order(session, statement, figures, period), occasion=occasion)
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


def _draw_up(session: Session, contract: Contract, period: Period, occasion: Occasion) -> Statement | _Held:
    installations = usage.list_installations(session, contract_id=contract.id)
    records = {
        installation.id: usage.read_records(session, installation.id, last_seq=installation.head_seq)
        for installation in installations
    }
    try:
        document = draw_up(terms_of(contract), period=period, records_by_installation=records, drawn_up_at=occasion.at)
    except MeteringError as error:
        return _Held(reason=f"the statement cannot be drawn up: {error}")
    incomplete = _find_incomplete(installations, document)
    if incomplete is not None:
        return _Held(reason=f"the records of installation {incomplete} are not the ones that we gave a receipt for")
    return Statement(
        id=f"{contract.id}.{period}",
        contract_id=contract.id,
        period=str(period),
        drawn_up_at=occasion.at,
        hash=statement_hash(document),
        document=rfc8785.dumps(document).decode(),
        contract=contract,
    )


def _order(session: Session, statement: Statement, figures: Figures, period: Period) -> InvoiceOrder:
    """The invoice over the share of one statement."""
    contract = statement.contract
    money = Money(minor=figures.share_minor, currency=figures.currency)
    text = f"{figures.share_percent} % of {Money(minor=figures.value_minor, currency=figures.currency)} saved"
    return InvoiceOrder(
        entity_id=default_entity(session).id,
        customer_id=contract.customer_id,
        currency=figures.currency,
        lines=(Line(kind=Kind.SHARE, period=str(period), text=text, amount=money),),
        first_day=period.start.date(),
        last_day=(period.end - timedelta(days=1)).date(),
        terms_days=contract.terms_days,
        contract=ContractNote(
            id=contract.id, baseline=contract.baseline_id, metric=contract.metric, tariff=contract.tariff.name
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
