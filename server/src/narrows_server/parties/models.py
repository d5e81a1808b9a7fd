"""Tables of legal entities, of customers' billing profiles and of checks of their VAT ids."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from narrows_server.database import Base, UtcDateTime


class LegalEntity(Base):
    """A company of ours that sends invoices. May change: invoices carry a copy of what it was."""

    __tablename__ = "legal_entity"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(Text)  # Lines, without postcode, city and country.
    postcode: Mapped[str | None] = mapped_column(String(20))
    city: Mapped[str | None] = mapped_column(String(100))
    country: Mapped[str] = mapped_column(String(2))
    email: Mapped[str | None] = mapped_column(String(254))
    vat_id: Mapped[str | None] = mapped_column(String(20))
    tax_id: Mapped[str | None] = mapped_column(String(40))
    registration: Mapped[str | None] = mapped_column(String(200))
    iban: Mapped[str | None] = mapped_column(String(34))
    bic: Mapped[str | None] = mapped_column(String(11))
    bank: Mapped[str | None] = mapped_column(String(100))
    payment: Mapped[str] = mapped_column(Text)  # Further lines that say how to pay.
    base_currency: Mapped[str] = mapped_column(String(3))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BillingProfile(Base):
    """What invoices need to know of a customer beside its name and address. May change, like its entity."""

    __tablename__ = "billing_profile"

    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), primary_key=True)
    postcode: Mapped[str | None] = mapped_column(String(20))
    city: Mapped[str | None] = mapped_column(String(100))
    country: Mapped[str | None] = mapped_column(String(2))
    vat_id: Mapped[str | None] = mapped_column(String(20))
    language: Mapped[str] = mapped_column(String(5))
    reference: Mapped[str | None] = mapped_column(String(100))
    purchase_order: Mapped[str | None] = mapped_column(String(100))
    electronic_address: Mapped[str | None] = mapped_column(String(100))


class VatIdCheck(Base):
    """What was checked of a VAT id, when, and what came out. Never changed: it is the evidence for charging no VAT."""

    __tablename__ = "vat_id_check"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    vat_id: Mapped[str] = mapped_column(String(40))
    checked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    method: Mapped[str] = mapped_column(String(60))  # "syntax, python-stdnum 2.2", "VIES".
    is_valid: Mapped[bool] = mapped_column(Boolean)
    detail: Mapped[str | None] = mapped_column(Text)  # Why not, or what the authority said.
    consultation_number: Mapped[str | None] = mapped_column(String(40))
