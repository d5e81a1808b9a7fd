"""From the lines of a closed month to its invoice, or to a credit note where they come to less than nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from sqlalchemy.orm import Session

from narrows_server.audit import Occasion
from narrows_server.contracts.contract_document import ContractDocument
from narrows_server.contracts.credits import Movement, move
from narrows_server.contracts.month import ContractMonth
from narrows_server.contracts.repository import find_rate
from narrows_server.contracts.service import require_tariff
from narrows_server.invoices import credit_notes
from narrows_server.invoices import service as invoices
from narrows_server.invoices.models import Invoice
from narrows_server.invoices.models import Kind as Document
from narrows_server.invoices.order import ContractNote, ExchangeRate, InvoiceOrder, StatementNote
from narrows_server.parties.models import LegalEntity
from narrows_server.parties.service import default_entity, require_entity
from narrows_server.rating import charges
from narrows_server.rating.lines import Kind, Line
from narrows_server.statements.drawing import Held
from narrows_server.statements.figures import read_figures
from narrows_server.statements.models import Statement


def invoice(
    session: Session,
    statement: Statement,
    lines: Sequence[Line],
    *,
    month: ContractMonth,
    stale_id: str | None,
    undone: Sequence[Line],
    occasion: Occasion,
) -> Invoice | Held:
    """
    Issue the invoice over *lines* and charge them; *stale_id* is the invoice over an earlier version, to be undone.

    All or nothing: what cannot be issued leaves no trace.
    """
    contract_id, period = statement.contract_id, statement.period
    stale = session.get(Invoice, stale_id) if stale_id else None
    if stale is not None and stale.kind != Document.INVOICE:
        return Held(reason=f"credit note {stale.number} was given for the version before; undo it by hand")
    order = _order(session, statement, lines, month)
    try:
        with session.begin_nested():
            if stale is not None:
                _undo(session, stale, statement, undone, occasion)
            if not credit_notes.is_surplus(session, order, occasion=occasion):
                issued = invoices.draft(session, order, occasion=occasion)
                invoices.issue(session, issued, occasion=occasion)
            else:
                reason = f"Corrections with the statement of {period}"
                issued = credit_notes.credit_surplus(session, order, reason=reason, occasion=occasion)
            charges.record(session, contract_id, lines, closed_in=period, statement_id=statement.id, occasion=occasion)
            for line in lines:
                if line.kind is Kind.CREDIT:
                    _move(session, contract_id, Movement.DRAWN, line.amount.minor, issued, period, occasion)
    except invoices.TaxUndecided as error:
        return Held(reason=error.detail)
    return issued


def statement_of(session: Session, invoice_id: str) -> str | None:
    """The id of the statement that an invoice is over."""
    found = session.get(Invoice, invoice_id)
    return None if found is None else found.statement_id


def _undo(session: Session, stale: Invoice, statement: Statement, undone: Sequence[Line], occasion: Occasion) -> None:
    """Credit what is left of an invoice, and take back what it had charged and drawn."""
    assert stale.number is not None
    assert stale.statement_id is not None
    if any(credit_notes.creditable(session, stale.number).values()):
        reason = f"Statement {stale.statement_id} is superseded by {statement.id}"
        credit_notes.credit(session, stale.number, reason=reason, occasion=occasion)
    charges.reverse(
        session,
        statement.contract_id,
        closed_in=statement.period,
        statement_id=stale.statement_id,
        occasion=occasion,
    )
    for line in undone:
        if line.kind is Kind.CREDIT:
            minor = -line.amount.minor
            _move(session, statement.contract_id, Movement.RETURNED, minor, stale, statement.period, occasion)


def _move(
    session: Session,
    contract_id: str,
    movement: Movement,
    minor: int,
    document: Invoice,
    period: str,
    occasion: Occasion,
) -> None:
    move(
        session,
        contract_id,
        movement,
        minor,
        document.currency,
        period=period,
        reference=document.number,
        occasion=occasion,
    )


def _order(session: Session, statement: Statement, lines: Sequence[Line], month: ContractMonth) -> InvoiceOrder:
    """What the invoice is written from."""
    contract, terms, period = statement.contract, month.document, month.period
    entity = require_entity(session, terms.legal_entity) if terms.legal_entity else default_entity(session)
    last_day = date(period.year, period.month, period.last_day)
    return InvoiceOrder(
        entity_id=entity.id,
        customer_id=contract.customer_id,
        currency=terms.currency,
        lines=tuple(lines),
        first_day=date(period.year, period.month, period.first_day),
        last_day=last_day,
        terms_days=terms.payment_days,
        contract=ContractNote(
            id=contract.id,
            baseline=terms.baseline,
            metric=terms.metric,
            tariff=require_tariff(session, terms.tariff).name,
        ),
        statement=StatementNote(id=statement.id, hash=statement.hash),
        figures=read_figures(statement.document),
        exchange=_seller_rate(session, entity, terms, on=last_day),
    )


def _seller_rate(session: Session, entity: LegalEntity, terms: ContractDocument, *, on: date) -> ExchangeRate | None:
    """What the invoice's currency was in that of the seller's tax return, if it is another and the rate is known."""
    if terms.currency == entity.base_currency:
        return None
    found = find_rate(session, terms.exchange.source, base=terms.currency, quoted=entity.base_currency, on=on)
    if found is None:
        return None
    return ExchangeRate(currency=entity.base_currency, rate=Decimal(found.rate), on=found.on, source=found.source)
