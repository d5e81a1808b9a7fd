"""Every query about customers, tariffs and contracts."""

from __future__ import annotations

from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from narrows_server.customers.models import Contract, Customer, Tariff


def get_customer(session: Session, customer_id: str) -> Customer | None:
    return session.get(Customer, customer_id)


def lock_customer(session: Session, customer_id: str) -> Customer:
    """The customer's row, locked until the end of the transaction where the database has row locks."""
    # Not its key: whoever only writes a row that refers to the customer need not wait, nor two of them for each other.
    query = select(Customer).where(Customer.id == customer_id).with_for_update(key_share=True)
    return session.execute(query).scalar_one()


def get_tariff(session: Session, tariff_id: str) -> Tariff | None:
    return session.get(Tariff, tariff_id)


def get_contract(session: Session, contract_id: str) -> Contract | None:
    return session.get(Contract, contract_id)


def list_customers(session: Session) -> list[Customer]:
    return list(session.scalars(select(Customer).order_by(Customer.name, Customer.id)))


def list_tariffs(session: Session) -> list[Tariff]:
    return list(session.scalars(select(Tariff).order_by(Tariff.name, Tariff.id)))


def list_contracts(session: Session) -> list[Contract]:
    return list(session.scalars(select(Contract).order_by(Contract.customer_id, Contract.id)))


def list_contracts_begun_by(session: Session, day: date) -> list[Contract]:
    """Contracts whose first day is *day* or earlier, in a fixed order."""
    return list(session.scalars(select(Contract).where(Contract.starts_on <= day).order_by(Contract.id)))
