"""Legal entities, and what invoices need to know of a customer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.audit import Occasion
from narrows_server.customers.service import require_customer
from narrows_server.parties import repository, service
from narrows_server.parties.schemas import BillingIn, BillingOut, LegalEntityOut, VatIdCheckOut
from narrows_server.web import Change, OfficeOf, allowed, changing

router = APIRouter(prefix="/v1", tags=["invoices"])

Books = Annotated[Caller, allowed(Action.BOOKS_READ)]
Invoices = Annotated[Caller, allowed(Action.INVOICES_READ)]
CustomerWrites = Annotated[Change, changing(Action.CUSTOMERS_WRITE)]


@router.get("/legal-entities", summary="Legal entities, the first one first")
def list_legal_entities(office: OfficeOf, caller: Books) -> list[LegalEntityOut]:
    """The first one sends the invoices of contracts that name nobody."""
    with office.database.snapshot() as session:
        return [LegalEntityOut.of(entity) for entity in repository.list_entities(session)]


@router.get("/customers/{customer_id}/billing", summary="A customer as the addressee of invoices")
def get_billing(customer_id: str, office: OfficeOf, caller: Invoices) -> BillingOut:
    caller.require_own(customer_id, f"customer {customer_id}")
    with office.database.snapshot() as session:
        return _billing(session, customer_id)


@router.patch("/customers/{customer_id}/billing", response_model=BillingOut, summary="Change a billing profile")
def change_billing(customer_id: str, order: BillingIn, change: CustomerWrites) -> Response:
    """Invoices that were issued keep what it was."""

    def set_profile(session: Session, occasion: Occasion) -> BillingOut:
        change.caller.require_own(customer_id, f"customer {customer_id}")
        service.set_profile(session, customer_id, occasion=occasion, **order.changes())
        return _billing(session, customer_id)

    return change.once(set_profile)


def _billing(session: Session, customer_id: str) -> BillingOut:
    buyer = service.buyer_of(session, require_customer(session, customer_id)).to_dict()
    checks = [VatIdCheckOut.of(check) for check in repository.list_checks(session, customer_id)]
    return BillingOut(customer_id=buyer.pop("id"), checks=checks, **buyer)
