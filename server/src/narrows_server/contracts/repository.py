"""Every query about contracts, tariffs, rates, CDN invoices and credit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from narrows_server.contracts.models import (
    CdnInvoice,
    Contract,
    ContractVersion,
    CreditEntry,
    ExchangeRate,
    Tariff,
)
from narrows_server.paging import Paged, Paging, read_page


def get_tariff(session: Session, tariff_id: str) -> Tariff | None:
    return session.get(Tariff, tariff_id)


def get_contract(session: Session, contract_id: str) -> Contract | None:
    return session.get(Contract, contract_id)


def list_tariffs(session: Session) -> list[Tariff]:
    return list(session.scalars(select(Tariff).order_by(Tariff.name, Tariff.id)))


def list_contracts(session: Session, *, customer_id: str | None = None) -> list[Contract]:
    """Every contract, or those of one customer."""
    query = select(Contract).order_by(Contract.customer_id, Contract.id)
    return list(session.scalars(query if customer_id is None else query.where(Contract.customer_id == customer_id)))


def count_by_customer(session: Session, customer_ids: Sequence[str]) -> dict[str, int]:
    """How many contracts each of these customers has."""
    query = select(Contract.customer_id, func.count()).where(Contract.customer_id.in_(customer_ids))
    return {row[0]: row[1] for row in session.execute(query.group_by(Contract.customer_id))}


def versions_by_contract(session: Session, contract_ids: Sequence[str]) -> dict[str, list[ContractVersion]]:
    """By contract, the versions of these contracts in the order in which they were recorded."""
    query = select(ContractVersion).where(ContractVersion.contract_id.in_(contract_ids))
    found: dict[str, list[ContractVersion]] = {}
    for row in session.scalars(query.order_by(ContractVersion.contract_id, ContractVersion.number)):
        found.setdefault(row.contract_id, []).append(row)
    return found


def contracts_by_id(session: Session, contract_ids: Sequence[str]) -> dict[str, Contract]:
    """These contracts."""
    return {one.id: one for one in session.scalars(select(Contract).where(Contract.id.in_(contract_ids)))}


def contract_page(session: Session, at: Paging) -> Paged[Contract]:
    """A page of contracts, the latest first."""
    return read_page(session, select(Contract), by=(Contract.created_at, Contract.id), at=at)


def tariff_page(session: Session, at: Paging) -> Paged[Tariff]:
    """A page of tariffs, the latest first."""
    return read_page(session, select(Tariff), by=(Tariff.created_at, Tariff.id), at=at)


def list_versions(session: Session, contract_id: str) -> list[ContractVersion]:
    """The versions of a contract in the order in which they were recorded."""
    query = select(ContractVersion).where(ContractVersion.contract_id == contract_id).order_by(ContractVersion.number)
    return list(session.scalars(query))


def list_all_versions(session: Session) -> list[ContractVersion]:
    """The versions of all contracts, by contract and number."""
    return list(session.scalars(select(ContractVersion).order_by(ContractVersion.contract_id, ContractVersion.number)))


def find_rate(session: Session, source: str, *, base: str, quoted: str, on: date) -> ExchangeRate | None:
    """The rate of the day, or else of the last day before it that has one: banks rest on Sundays."""
    query = (
        select(ExchangeRate)
        .where(ExchangeRate.source == source, ExchangeRate.from_currency == base, ExchangeRate.to_currency == quoted)
        .where(ExchangeRate.on <= on)
        .order_by(ExchangeRate.on.desc(), ExchangeRate.id.desc())
        .limit(1)
    )
    return session.scalars(query).first()


def list_rates(session: Session, *, limit: int = 1000) -> list[ExchangeRate]:
    """The latest rates first."""
    return list(
        session.scalars(select(ExchangeRate).order_by(ExchangeRate.on.desc(), ExchangeRate.id.desc()).limit(limit))
    )


def cdn_invoices(session: Session, contract_id: str, period: str) -> dict[str, int]:
    """By CDN, what it invoiced for the month; the last entry of each holds."""
    query = (
        select(CdnInvoice)
        .where(CdnInvoice.contract_id == contract_id, CdnInvoice.period == period)
        .order_by(CdnInvoice.id)
    )
    return {row.cdn: row.amount_minor for row in session.scalars(query)}


def list_cdn_invoices(session: Session, contract_id: str, *, limit: int = 24) -> list[CdnInvoice]:
    """What was recorded, the newest month first and of a month the entry that holds."""
    query = (
        select(CdnInvoice)
        .where(CdnInvoice.contract_id == contract_id)
        .order_by(CdnInvoice.period.desc(), CdnInvoice.id.desc())
        .limit(limit)
    )
    return list(session.scalars(query))


def rates_of(session: Session, source: str, *, base: str, quoted: str, limit: int = 12) -> list[ExchangeRate]:
    """The latest rates of a pair of currencies, the newest day first and of a day the one that holds."""
    query = (
        select(ExchangeRate)
        .where(ExchangeRate.source == source, ExchangeRate.from_currency == base, ExchangeRate.to_currency == quoted)
        .order_by(ExchangeRate.on.desc(), ExchangeRate.id.desc())
        .limit(limit)
    )
    return list(session.scalars(query))


def credit_balance(session: Session, contract_id: str) -> int:
    total = session.scalar(select(func.sum(CreditEntry.amount_minor)).where(CreditEntry.contract_id == contract_id))
    return int(total or 0)


def list_credit(session: Session, contract_id: str) -> list[CreditEntry]:
    """Every movement, the first one first."""
    return list(
        session.scalars(select(CreditEntry).where(CreditEntry.contract_id == contract_id).order_by(CreditEntry.id))
    )
