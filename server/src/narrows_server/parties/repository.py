"""Every query about legal entities, billing profiles and checks of VAT ids."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from narrows_server.parties.models import BillingProfile, LegalEntity, VatIdCheck


def get_entity(session: Session, entity_id: str) -> LegalEntity | None:
    return session.get(LegalEntity, entity_id)


def list_entities(session: Session) -> list[LegalEntity]:
    """Every legal entity, the oldest first."""
    return list(session.scalars(select(LegalEntity).order_by(LegalEntity.created_at, LegalEntity.id)))


def get_profile(session: Session, customer_id: str) -> BillingProfile | None:
    return session.get(BillingProfile, customer_id)


def latest_check(session: Session, customer_id: str, vat_id: str) -> VatIdCheck | None:
    """The newest check of *vat_id* for this customer."""
    query = select(VatIdCheck).where(VatIdCheck.customer_id == customer_id, VatIdCheck.vat_id == vat_id)
    return session.scalars(query.order_by(VatIdCheck.id.desc()).limit(1)).first()


def list_checks(session: Session, customer_id: str) -> list[VatIdCheck]:
    """Every check for this customer, the newest first."""
    query = select(VatIdCheck).where(VatIdCheck.customer_id == customer_id)
    return list(session.scalars(query.order_by(VatIdCheck.id.desc())))
