"""
What the statement of a month is drawn up under: the contract, its tariff, and amounts from outside.

Exchange rates and what CDNs invoiced are recorded as they become known; a statement waits for those that its contract
asks for.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from narrows_metering.share import Exchange
from narrows_metering.terms import Period, Terms, decimal_from_text, decimal_to_text
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.contracts import repository
from narrows_server.contracts.models import CDN_CHARACTERS_MAX, CdnInvoice, ExchangeRate
from narrows_server.contracts.month import ContractMonth, terms_of
from narrows_server.contracts.reading import to_minor
from narrows_server.contracts.service import document_on, read_tariff, require_tariff
from narrows_server.errors import Invalid

RATE_DAYS_MAX = 7  # A rate may be this much older than the day that the contract names.


class TermsIncomplete(Invalid):
    """A statement cannot be drawn up before something is known that the contract asks for; the detail says what."""

    code, title = "terms_incomplete", "The statement cannot be drawn up yet"


def add_rate(session: Session, exchange: Exchange, *, to_currency: str, occasion: Occasion) -> ExchangeRate:
    """A rate of a day. A second one for the same day holds instead of the first, in months that are not closed."""
    row = ExchangeRate(
        source=exchange.source,
        from_currency=exchange.currency,
        to_currency=to_currency,
        on=date.fromisoformat(exchange.date),
        rate=decimal_to_text(exchange.rate),
        recorded_at=occasion.at,
    )
    session.add(row)
    session.flush()
    detail = {"source": exchange.source, "date": exchange.date, "rate": row.rate}
    audit.write(session, occasion, "exchange_rate.added", f"{exchange.currency}/{to_currency}", **detail)
    return row


def add_cdn_invoice(
    session: Session, contract_id: str, period: Period, cdn: str, amount: Decimal, *, occasion: Occasion
) -> CdnInvoice:
    """What *cdn* invoiced for a month, in the tariff's currency. Raises `NotFound`, `Invalid`."""
    document = document_on(session, contract_id, date(period.year, period.month, period.days_in_month))
    currency = require_tariff(session, document.tariff).currency
    if len(cdn) > CDN_CHARACTERS_MAX:
        raise Invalid(f"the name of a CDN has at most {CDN_CHARACTERS_MAX} characters")
    try:
        minor = to_minor(amount, currency, where="amount")
    except ValueError as error:
        raise Invalid(str(error)) from error
    row = CdnInvoice(contract_id=contract_id, period=str(period), cdn=cdn, amount_minor=minor, recorded_at=occasion.at)
    session.add(row)
    session.flush()
    audit.write(session, occasion, "cdn_invoice.added", f"{contract_id}.{period}", cdn=cdn, minor=minor)
    return row


def terms_for(session: Session, month: ContractMonth) -> Terms:
    """What the statement of *month* is drawn up under. Raises `TermsIncomplete`."""
    document = month.document
    tariff = read_tariff(require_tariff(session, document.tariff))
    exchange = None
    if tariff.currency != document.currency:
        exchange = _require_rate(session, month, tariff.currency)
    invoiced = repository.cdn_invoices(session, month.contract_id, str(month.period))
    try:
        return terms_of(month, tariff, exchange=exchange, invoiced=invoiced)
    except ValueError as error:
        raise TermsIncomplete(f"the terms cannot be applied: {error}") from error


def _require_rate(session: Session, month: ContractMonth, base: str) -> Exchange:
    document, period = month.document, month.period
    day = date(period.year, period.month, period.days_in_month)
    if document.exchange.day == "first_of_next_month":
        day += timedelta(days=1)
    found = repository.find_rate(session, document.exchange.source, base=base, quoted=document.currency, on=day)
    if found is None or (day - found.on).days > RATE_DAYS_MAX:
        raise TermsIncomplete(
            f"there is no rate of {document.exchange.source} for {base} in {document.currency} of {day} or the week "
            f"before; record it under exchange rate on the page of contract {month.contract_id}"
        )
    return Exchange(currency=base, rate=decimal_from_text(found.rate), source=found.source, date=found.on.isoformat())
