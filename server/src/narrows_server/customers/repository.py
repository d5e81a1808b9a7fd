"""Every query about customers."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from narrows_server.customers.models import Customer


def get_customer(session: Session, customer_id: str) -> Customer | None:
    return session.get(Customer, customer_id)


def lock_customer(session: Session, customer_id: str) -> Customer:
    """The customer's row, locked until the end of the transaction where the database has row locks."""
    # Not its key: whoever only writes a row that refers to the customer need not wait, nor two of them for each other.
    query = select(Customer).where(Customer.id == customer_id).with_for_update(key_share=True)
    return session.execute(query).scalar_one()


def list_customers(session: Session) -> list[Customer]:
    return list(session.scalars(select(Customer).order_by(Customer.name, Customer.id)))
