"""Customers: made once, checked as they are made. Their terms are in `contracts`."""

from __future__ import annotations

from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.customers import repository
from narrows_server.customers.models import Customer
from narrows_server.errors import AlreadyExists, Invalid, NotFound
from narrows_server.identity import require_id, slug
from narrows_server.parties.party import ADDRESS_LINES_MAX, Party

NAME_CHARACTERS_MAX = 200


def add_customer(session: Session, party: Party, *, customer_id: str | None = None, occasion: Occasion) -> Customer:
    """A new customer; its id comes from its name unless one is given. Raises `AlreadyExists`, `Invalid`."""
    _check_name(party.name)
    if len(party.address) > ADDRESS_LINES_MAX:
        raise Invalid(f"an address has at most {ADDRESS_LINES_MAX} lines")
    chosen = require_id(customer_id or slug(party.name))
    if repository.get_customer(session, chosen):
        raise AlreadyExists(f"there is a customer {chosen} already; choose another id with --id")
    customer = Customer(
        id=chosen,
        name=party.name,
        address="\n".join(party.address),
        email=party.email,
        tax_id=party.tax_id,
        created_at=occasion.at,
    )
    session.add(customer)
    audit.write(session, occasion, "customer.added", chosen, name=party.name)
    return customer


def require_customer(session: Session, customer_id: str) -> Customer:
    """The customer with this id. Raises `NotFound`."""
    customer = repository.get_customer(session, customer_id)
    if customer is None:
        raise NotFound(f"there is no customer {customer_id}")
    return customer


def _check_name(name: str) -> None:
    if not name.strip() or name != name.strip() or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise Invalid(f"a name has 1 to {NAME_CHARACTERS_MAX} printable characters and no blanks around them")
