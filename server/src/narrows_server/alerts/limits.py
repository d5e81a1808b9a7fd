"""Spend limits: how much our share of a month may come to before somebody is told."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.alerts.models import SpendLimit
from narrows_server.audit import Occasion
from narrows_server.contracts.models import Contract
from narrows_server.errors import Invalid

AMOUNT_MINOR_MAX = 2**53


def set_limit(session: Session, contract: Contract, amount_minor: int | None, *, occasion: Occasion) -> None:
    """Tell somebody when a month under *contract* costs more than this; with None nobody. Raises `Invalid`."""
    if amount_minor is not None and not 0 < amount_minor < AMOUNT_MINOR_MAX:
        raise Invalid("a spend limit is more than nothing")
    limit = session.get(SpendLimit, contract.id)
    before = None if limit is None else limit.amount_minor
    if amount_minor is None:
        if limit is not None:
            session.delete(limit)
    elif limit is None:
        limit = SpendLimit(
            contract_id=contract.id, amount_minor=amount_minor, set_by=occasion.actor, set_at=occasion.at
        )
        session.add(limit)
    else:
        limit.amount_minor, limit.set_by, limit.set_at = amount_minor, occasion.actor, occasion.at
    if amount_minor != before:
        told = {"customer": contract.customer_id, "minor": amount_minor, "before": before}
        audit.write(session, occasion, "spend_limit.set", contract.id, **told)


def limits_of(session: Session, *, customer_id: str | None = None) -> dict[str, int]:
    """By contract, the limit in minor units: of all contracts, or of one customer's."""
    query = select(SpendLimit)
    if customer_id is not None:
        query = query.join(Contract, Contract.id == SpendLimit.contract_id).where(Contract.customer_id == customer_id)
    return {one.contract_id: one.amount_minor for one in session.scalars(query)}
