"""Every query about licenses and revocation lists."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from narrows_server.licenses.models import (
    IssuedCertificate,
    IssuedLicense,
    PublishedRevocations,
    StatusNumber,
)
from narrows_server.paging import Paged, Paging, read_page


def get_license(session: Session, license_id: str) -> IssuedLicense | None:
    return session.get(IssuedLicense, license_id)


def list_licenses(session: Session) -> list[IssuedLicense]:
    """Every license, newest first."""
    return list(session.scalars(select(IssuedLicense).order_by(IssuedLicense.issued_at.desc(), IssuedLicense.id)))


def license_page(session: Session, at: Paging, *, customer_id: str | None = None) -> Paged[IssuedLicense]:
    """A page of licenses, newest first: of all, or of one customer."""
    query = select(IssuedLicense)
    if customer_id is not None:
        query = query.where(IssuedLicense.customer_id == customer_id)
    return read_page(session, query, by=(IssuedLicense.issued_at, IssuedLicense.id), at=at)


def count_licenses(session: Session, *, at: datetime) -> tuple[int, int]:
    """How many are valid at a moment, and how many were ever issued."""
    valid = select(func.count()).where(
        IssuedLicense.revoked_at.is_(None), IssuedLicense.suspended_at.is_(None), IssuedLicense.expires_at > at
    )
    return session.scalar(valid) or 0, session.scalar(select(func.count()).select_from(IssuedLicense)) or 0


def list_licenses_of(session: Session, customer_id: str) -> list[IssuedLicense]:
    """Every license ever issued to a customer, in the order of issue."""
    query = select(IssuedLicense).where(IssuedLicense.customer_id == customer_id).order_by(IssuedLicense.status_index)
    return list(session.scalars(query))


def list_certificates_of(session: Session, customer_id: str) -> list[IssuedCertificate]:
    """Every certificate ever issued to a customer, in the order of issue."""
    query = select(IssuedCertificate).where(IssuedCertificate.customer_id == customer_id)
    return list(session.scalars(query.order_by(IssuedCertificate.status_index)))


def get_certificate(session: Session, certificate_id: str) -> IssuedCertificate | None:
    return session.get(IssuedCertificate, certificate_id)


def take_status_index(session: Session) -> int:
    """A number that neither a license nor a certificate has; a second process that takes the same is refused."""
    highest = session.scalar(select(func.max(StatusNumber.number)))
    number = 0 if highest is None else highest + 1
    session.add(StatusNumber(number=number))
    session.flush()
    return number


def revoked_numbers(session: Session) -> list[int]:
    licenses = select(IssuedLicense.status_index).where(IssuedLicense.revoked_at.is_not(None))
    certificates = select(IssuedCertificate.status_index).where(IssuedCertificate.revoked_at.is_not(None))
    return sorted([*session.scalars(licenses), *session.scalars(certificates)])


def suspended_numbers(session: Session) -> list[int]:
    query = select(IssuedLicense.status_index).where(IssuedLicense.suspended_at.is_not(None))
    return list(session.scalars(query.order_by(IssuedLicense.status_index)))


def get_latest_revocations(session: Session) -> PublishedRevocations | None:
    query = select(PublishedRevocations).order_by(PublishedRevocations.version.desc()).limit(1).with_for_update()
    return session.scalars(query).first()
