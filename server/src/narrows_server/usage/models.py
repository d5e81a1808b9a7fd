"""Tables of installations, their records, the receipts they got, and what is missing or contradicts known records."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from narrows_server.customers.models import Customer
from narrows_server.database import Base, UtcDateTime


class Installation(Base):
    """
    One running copy of the SDK. Its id is the thumbprint of its key; `head_*` is the last record known of it.

    `previous_*` is what its first record says of the ledger that it continues. That is a claim: it is shown only if
    the other installation is of the same customer.
    """

    __tablename__ = "installation"
    __table_args__ = (
        Index("ix_installation_enrolled_at", "enrolled_at", "id"),
        Index("ix_installation_previous_id", "previous_id"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), index=True)
    license_id: Mapped[str] = mapped_column(ForeignKey("license.id"))
    public_key: Mapped[str] = mapped_column(String(64))
    sdk: Mapped[str] = mapped_column(String(100))
    enrolled_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reported_at: Mapped[datetime] = mapped_column(UtcDateTime)
    head_seq: Mapped[int] = mapped_column(BigInteger)
    head_hash: Mapped[str] = mapped_column(String(64))
    # Kept here because a look at the console must not read every record. Never billed from.
    encode_count: Mapped[int] = mapped_column(BigInteger)
    delivered_bytes: Mapped[int] = mapped_column(BigInteger)
    previous_id: Mapped[str | None] = mapped_column(String(64))
    previous_seq: Mapped[int | None] = mapped_column(BigInteger)

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)


class StoredRecord(Base):
    """
    One record, exactly as it was reported. The database takes each number of an installation once: it can't be counted
    twice.

    On SQLite that is the key. On PostgreSQL the table is divided by the month of `recorded_at`, which every key there
    has to contain, so a trigger takes only what continues `record_end` (see `usage.partitions`).

    No foreign key: checking one for each record would cost half as much as storing it, and the one writer, intake,
    holds the installation's row locked.
    """

    __tablename__ = "record"

    installation_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)  # The record's own time.
    kind: Mapped[str] = mapped_column(String(20))
    hash: Mapped[str] = mapped_column(String(64))
    delivered_bytes: Mapped[int | None] = mapped_column(BigInteger)  # Of a delivery, for overviews. Never billed from.
    document: Mapped[str] = mapped_column(Text)  # The record's own JSON, from which all else is computed.


class IssuedReceipt(Base):
    """A receipt as it was signed. Records never change, so their range decides which receipt a resend gets."""

    __tablename__ = "receipt"

    installation_id: Mapped[str] = mapped_column(ForeignKey("installation.id"), primary_key=True)
    first_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    last_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    token: Mapped[str] = mapped_column(Text)


class Fork(Base):
    """A record that contradicts the one we hold: a copied machine or a restored backup. Counted nowhere."""

    __tablename__ = "fork"

    installation_id: Mapped[str] = mapped_column(ForeignKey("installation.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    document: Mapped[str] = mapped_column(Text)


class OpenGap(Base):
    """
    Records that an installation must have, because it reported later ones, and that we lack. Gone once they are here.

    What is missing begins behind the installation's head. The installation may be one that we do not know (yet).
    """

    __tablename__ = "gap"

    installation_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"))
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"))
    last_missing: Mapped[int] = mapped_column(BigInteger)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
