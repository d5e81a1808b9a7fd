"""Tables of licenses and revocation lists."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from narrows_server.customers.models import Contract, Customer
from narrows_server.database import Base, UtcDateTime


class IssuedLicense(Base):
    """A license as it was signed. `token` is the license; the columns beside it are for finding it."""

    __tablename__ = "license"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    token: Mapped[str] = mapped_column(Text)

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
    contract: Mapped[Contract] = relationship(lazy="select")


class PublishedRevocations(Base):
    """A revocation list as it was signed; the highest version is the one in force."""

    __tablename__ = "revocation_list"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    token: Mapped[str] = mapped_column(Text)
