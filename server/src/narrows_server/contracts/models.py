"""Tables of contracts, tariffs, exchange rates, CDN invoices and prepaid credit. Nothing in them is ever changed."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Date, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from narrows_server.customers.models import Customer
from narrows_server.database import Base, UtcDateTime

CDN_CHARACTERS_MAX = 64


class Tariff(Base):
    """What a customer pays for bandwidth. A new price is a new tariff."""

    __tablename__ = "tariff"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    currency: Mapped[str] = mapped_column(String(3))
    hash: Mapped[str] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(Text)  # `tariff_document.TariffDocument`, canonical JSON.
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Contract(Base):
    """What of a contract never changes; its terms are in its versions."""

    __tablename__ = "contract"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    starts_on: Mapped[date] = mapped_column(Date)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)


class ContractVersion(Base):
    """The terms of a contract from a day on, as they were known from a moment on."""

    __tablename__ = "contract_version"

    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    effective_on: Mapped[date] = mapped_column(Date)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_by: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str | None] = mapped_column(Text)
    tariff_id: Mapped[str] = mapped_column(ForeignKey("tariff.id"))
    hash: Mapped[str] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(Text)  # `contract_document.ContractDocument`, canonical JSON.


class ExchangeRate(Base):
    """What one unit of a currency was worth in another on a day. Of several for the same day the last holds."""

    __tablename__ = "exchange_rate"

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(String(40))
    from_currency: Mapped[str] = mapped_column(String(3))
    to_currency: Mapped[str] = mapped_column(String(3))
    on: Mapped[date] = mapped_column("rate_on", Date, index=True)
    rate: Mapped[str] = mapped_column(String(32))  # A decimal in its one spelling.
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CdnInvoice(Base):
    """What a CDN invoiced the customer for a month, for contracts that value savings by it. The last one holds."""

    __tablename__ = "cdn_invoice"

    id: Mapped[int] = mapped_column(primary_key=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), index=True)
    period: Mapped[str] = mapped_column(String(7))
    cdn: Mapped[str] = mapped_column(String(CDN_CHARACTERS_MAX))
    amount_minor: Mapped[int] = mapped_column(BigInteger)  # Of the tariff's currency.
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CreditEntry(Base):
    """One movement of a contract's prepaid credit; the balance is their sum, and never below nothing."""

    __tablename__ = "credit_entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))  # `credits.Movement`
    amount_minor: Mapped[int] = mapped_column(BigInteger)  # Positive: the customer has more.
    currency: Mapped[str] = mapped_column(String(3))
    period: Mapped[str | None] = mapped_column(String(7))  # Of the close that moved it.
    reference: Mapped[str | None] = mapped_column(String(200))  # A payment, an invoice, a statement.
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
