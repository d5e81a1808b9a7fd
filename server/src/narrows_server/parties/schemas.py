"""What the endpoints of legal entities and billing profiles say and take, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from narrows_server.parties.models import LegalEntity, VatIdCheck
from narrows_server.parties.service import seller_of


class LegalEntityOut(BaseModel):
    """A company of the vendor that sends invoices."""

    id: str
    name: str
    address: list[str]
    postcode: str | None
    city: str | None
    country: str
    email: str | None
    vat_id: str | None
    tax_id: str | None
    registration: str | None
    iban: str | None
    bic: str | None
    bank: str | None
    base_currency: str

    @classmethod
    def of(cls, entity: LegalEntity) -> LegalEntityOut:
        return cls(**{name: value for name, value in seller_of(entity).to_dict().items() if name in cls.model_fields})


class VatIdCheckOut(BaseModel):
    """What was checked of a VAT id, when, by what, and the result."""

    vat_id: str
    checked_at: datetime
    method: str
    is_valid: bool
    consultation_number: str | None
    detail: str | None

    @classmethod
    def of(cls, check: VatIdCheck) -> VatIdCheckOut:
        return cls(**{name: getattr(check, name) for name in cls.model_fields})


class BillingOut(BaseModel):
    """A customer as the addressee of invoices, and every check of its VAT id, the newest first."""

    customer_id: str
    name: str
    address: list[str]
    postcode: str | None
    city: str | None
    country: str | None
    email: str | None
    vat_id: str | None
    tax_id: str | None
    language: str
    reference: str | None
    purchase_order: str | None
    electronic_address: str | None
    checks: list[VatIdCheckOut]


class BillingIn(BaseModel):
    """What changes of a billing profile; what is left out stays as it was."""

    country: str | None = Field(None, max_length=2, description="ISO 3166-1 alpha-2; decides about VAT.")
    vat_id: str | None = Field(None, max_length=40, description="Its form is checked, and the check is kept.")
    postcode: str | None = Field(None, max_length=20)
    city: str | None = Field(None, max_length=100)
    language: str | None = Field(None, max_length=5, description="Of invoices: en or de.")
    reference: str | None = Field(None, max_length=100, description="What the customer finds the invoice by.")
    purchase_order: str | None = Field(None, max_length=100)
    electronic_address: str | None = Field(None, max_length=100, description="SCHEME:ID of the EAS code list.")

    def changes(self) -> dict[str, Any]:
        """The members that were given."""
        return self.model_dump(exclude_unset=True)
