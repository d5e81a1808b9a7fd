"""Every query about customers."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from narrows_server.customers.models import Customer
from narrows_server.paging import Paged, Paging, read_page


def get_customer(session: Session, customer_id: str) -> Customer | None:
    return session.get(Customer, customer_id)


def lock_customer(session: Session, customer_id: str) -> Customer:
    """The customer's row, locked until the end of the transaction where the database has row locks."""
    # Not its key: whoever only writes a row that refers to the customer need not wait, nor two of them for each other.
    query = select(Customer).where(Customer.id == customer_id).with_for_update(key_share=True)
    return session.execute(query).scalar_one()


def list_customers(session: Session) -> list[Customer]:
    return list(session.scalars(select(Customer).order_by(Customer.name, Customer.id)))


def customer_page(session: Session, at: Paging) -> Paged[Customer]:
    """A page of customers, by name."""
    return read_page(session, select(Customer), by=(Customer.name, Customer.id), at=at, is_ascending=True)


def count_customers(session: Session) -> int:
    """How many there are."""
    return session.scalar(select(func.count()).select_from(Customer)) or 0


def customers_by_id(session: Session, customer_ids: Sequence[str]) -> dict[str, Customer]:
    """These customers."""
    return {one.id: one for one in session.scalars(select(Customer).where(Customer.id.in_(customer_ids)))}
