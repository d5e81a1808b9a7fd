"""Tables of licenses, certificates and revocation lists."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from narrows_server.contracts.models import Contract
from narrows_server.customers.models import Customer
from narrows_server.database import Base, UtcDateTime


class IssuedLicense(Base):
    """A license as it was signed. `token` is the license; the columns beside it are for finding it."""

    __tablename__ = "license"
    __table_args__ = (Index("ix_license_issued_at", "issued_at", "id"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    grace_days: Mapped[int] = mapped_column(Integer)
    suspended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    status_index: Mapped[int] = mapped_column(
        Integer, index=True, unique=True
    )  # Its number in the revocation list, and its order.
    replaces: Mapped[str | None] = mapped_column(String(64))  # The license that it renews or is transferred from.
    token: Mapped[str] = mapped_column(Text)

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
    contract: Mapped[Contract] = relationship(lazy="select")

    @property
    def grace(self) -> timedelta:
        """How long it still works after it has expired."""
        return timedelta(days=self.grace_days)


class PublishedRevocations(Base):
    """A revocation list as it was signed; the highest version is the one in force."""

    __tablename__ = "revocation_list"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    token: Mapped[str] = mapped_column(Text)


class StatusNumber(Base):
    """A number in the revocation list that is given away. Its key keeps two processes from giving the same."""

    __tablename__ = "status_number"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)


class IssuedCertificate(Base):
    """A certificate as it was signed: of an installation, or of a relay."""

    __tablename__ = "certificate"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))  # "installation" or "relay".
    subject: Mapped[str] = mapped_column(String(64), index=True)  # The thumbprint of its key.
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    status_index: Mapped[int] = mapped_column(Integer, index=True, unique=True)
    token: Mapped[str] = mapped_column(Text)
