"""Every query about licenses and revocation lists."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from narrows_server.licenses.models import IssuedLicense, PublishedRevocations


def get_license(session: Session, license_id: str) -> IssuedLicense | None:
    return session.get(IssuedLicense, license_id)


def list_licenses(session: Session) -> list[IssuedLicense]:
    """Every license, newest first."""
    return list(session.scalars(select(IssuedLicense).order_by(IssuedLicense.issued_at.desc(), IssuedLicense.id)))


def revoked_ids(session: Session) -> frozenset[str]:
    return frozenset(session.scalars(select(IssuedLicense.id).where(IssuedLicense.revoked_at.is_not(None))))


def get_latest_revocations(session: Session) -> PublishedRevocations | None:
    query = select(PublishedRevocations).order_by(PublishedRevocations.version.desc()).limit(1).with_for_update()
    return session.scalars(query).first()
