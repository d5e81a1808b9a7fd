"""Tables of customers, tariffs and contracts."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Date, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from narrows_server.database import Base, UtcDateTime


class Customer(Base):
    """A company that holds licenses and gets invoices."""

    __tablename__ = "customer"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(Text)  # Lines as on an envelope, without the name.
    email: Mapped[str | None] = mapped_column(String(254))
    tax_id: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Tariff(Base):
    """What a customer pays for bandwidth. Never changed: a new price is a new tariff."""

    __tablename__ = "tariff"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    currency: Mapped[str] = mapped_column(String(3))
    tiers: Mapped[str] = mapped_column(Text)  # JSON [[bytes or null, "price per GB"], …] in ascending order.
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Contract(Base):
    """The terms between a customer and us. Never changed: new terms are a new contract."""

    __tablename__ = "contract"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    tariff_id: Mapped[str] = mapped_column(ForeignKey("tariff.id"))
    share_percent: Mapped[str] = mapped_column(String(20))  # A Decimal as text: SQLite has no decimals.
    baseline_id: Mapped[str] = mapped_column(String(64))
    metric: Mapped[str] = mapped_column(String(32))
    starts_on: Mapped[date] = mapped_column(Date)  # The first of a month.
    terms_days: Mapped[int] = mapped_column(Integer)  # From the date of an invoice until it is due.
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    customer: Mapped[Customer] = relationship(lazy="joined", innerjoin=True)
    tariff: Mapped[Tariff] = relationship(lazy="joined", innerjoin=True)
