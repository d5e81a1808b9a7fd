"""Legal entities and billing profiles: set up, changed, and read as the parties of an invoice."""

from __future__ import annotations

import re
from dataclasses import replace

from babel.core import Locale
from narrows_metering.money import exponent
from sqlalchemy.orm import Session
from stdnum import bic as bics
from stdnum import iban as ibans
from stdnum.exceptions import ValidationError

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.customers.models import Customer
from narrows_server.customers.repository import get_customer
from narrows_server.errors import AlreadyExists, Invalid, NotFound
from narrows_server.identity import require_id, slug
from narrows_server.parties import repository, vat_id
from narrows_server.parties.models import BillingProfile, LegalEntity, VatIdCheck
from narrows_server.parties.party import ADDRESS_LINES_MAX, Buyer, Seller

LANGUAGES = ("en", "de")
# Babel's list of territories, less what is no country of ISO 3166-1: unions, users' own codes and exceptions.
COUNTRIES = {code for code in map(str, Locale("en").territories) if len(code) == 2 and code.isalpha()} - {
    *("AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "XK", "ZZ"),
}
_ELECTRONIC_ADDRESS = re.compile(r"(?:[0-9]{4}|[A-Z]{2}):[!-~]{1,90}")
_TEXTS = ("name", "postcode", "city", "country", "email", "vat_id", "tax_id", "registration", "iban", "bic", "bank")
_TEXT_CHARACTERS_MAX = {"postcode": 20, "city": 100, "email": 254, "tax_id": 40, "bank": 100}
_CHARACTERS_MAX = 200


def add_entity(session: Session, seller: Seller, *, entity_id: str | None = None, occasion: Occasion) -> LegalEntity:
    """A new legal entity; its id comes from its name unless one is given. Raises `AlreadyExists`, `Invalid`."""
    checked = _check(seller)
    chosen = require_id(entity_id or slug(checked.name))
    if repository.get_entity(session, chosen):
        raise AlreadyExists(f"there is a legal entity {chosen} already; choose another id with --id")
    entity = LegalEntity(id=chosen, created_at=occasion.at)
    _write(entity, checked)
    session.add(entity)
    session.flush()
    audit.write(session, occasion, "entity.added", chosen, name=checked.name)
    return entity


def change_entity(session: Session, entity_id: str, seller: Seller, *, occasion: Occasion) -> LegalEntity:
    """Replace what is known of an entity; invoices that were issued keep what it was. Raises `NotFound`, `Invalid`."""
    entity = require_entity(session, entity_id)
    checked = _check(seller)
    _write(entity, checked)
    session.flush()
    audit.write(session, occasion, "entity.changed", entity_id, name=checked.name)
    return entity


def require_entity(session: Session, entity_id: str) -> LegalEntity:
    """The legal entity with this id. Raises `NotFound`."""
    entity = repository.get_entity(session, entity_id)
    if entity is None:
        raise NotFound(f"there is no legal entity {entity_id}")
    return entity


def default_entity(session: Session) -> LegalEntity:
    """The first one that was set up: who sends the invoices of contracts that name nobody. Raises `NotFound`."""
    entities = repository.list_entities(session)
    if not entities:
        raise NotFound("there is no legal entity yet; add the one that sends the invoices")
    return entities[0]


def seller_of(entity: LegalEntity) -> Seller:
    """A stored legal entity as the sender of an invoice."""
    return Seller(
        id=entity.id,
        address=tuple(entity.address.splitlines()),
        payment=tuple(entity.payment.splitlines()),
        base_currency=entity.base_currency,
        **{name: getattr(entity, name) for name in _TEXTS},
    )


def set_profile(session: Session, customer_id: str, *, occasion: Occasion, **changes: str | None) -> BillingProfile:
    """
    Change members of a customer's billing profile, and check its VAT id if it is among them.

    A VAT id that cannot be one is refused; the check of one that can is kept. Raises `NotFound`, `Invalid`.
    """
    if get_customer(session, customer_id) is None:
        raise NotFound(f"there is no customer {customer_id}")
    profile = repository.get_profile(session, customer_id)
    if profile is None:
        profile = BillingProfile(customer_id=customer_id, language="en")
        session.add(profile)
    country = changes.get("country")
    if country is not None:
        changes["country"] = _country(country)
    if "language" in changes and changes["language"] not in LANGUAGES:
        raise Invalid(f"invoices are written in {' or '.join(LANGUAGES)}, not in {changes['language']!r}")
    address = changes.get("electronic_address")
    if address is not None and not _ELECTRONIC_ADDRESS.fullmatch(address):
        raise Invalid(f"{address!r} is not an electronic address: write SCHEME:ID, such as 0204:991-12345-67")
    stated = changes.get("vat_id")
    if stated is not None:
        try:
            read = vat_id.read_vat_id(stated, country=changes.get("country") or profile.country)
        except ValueError as error:
            raise Invalid(str(error)) from error
        changes["vat_id"] = read.text
        changes.setdefault("country", profile.country or read.country)
        _record(session, customer_id, read.text, occasion)
    for name, value in changes.items():
        if value is not None and (len(value) > 100 or not value.isprintable()):
            raise Invalid(f"{name.replace('_', ' ')}: at most 100 printable characters")
        setattr(profile, name, value)
    session.flush()
    audit.write(session, occasion, "billing_profile.changed", customer_id, **changes)
    return profile


def record_answer(
    session: Session,
    customer_id: str,
    *,
    is_valid: bool,
    consultation_number: str | None,
    detail: str | None,
    occasion: Occasion,
) -> VatIdCheck:
    """Keep what VIES answered about a customer's VAT id, with its consultation number. Raises `Invalid`, `NotFound`."""
    customer = get_customer(session, customer_id)
    if customer is None:
        raise NotFound(f"there is no customer {customer_id}")
    buyer = buyer_of(session, customer)
    if buyer.vat_id is None:
        raise Invalid(f"customer {customer_id} has no VAT id")
    check = VatIdCheck(
        customer_id=customer_id,
        vat_id=buyer.vat_id,
        checked_at=occasion.at,
        method="VIES",
        is_valid=is_valid,
        detail=detail,
        consultation_number=consultation_number,
    )
    session.add(check)
    audit.write(session, occasion, "vat_id.checked", customer_id, vat_id=buyer.vat_id, valid=int(is_valid))
    return check


def buyer_of(session: Session, customer: Customer) -> Buyer:
    """A stored customer as the addressee of an invoice. A tax id that is a VAT id counts as one."""
    profile = repository.get_profile(session, customer.id)
    buyer = Buyer(
        id=customer.id,
        name=customer.name,
        address=tuple(customer.address.splitlines()),
        email=customer.email,
        tax_id=customer.tax_id,
    )
    if profile is not None:
        names = ("postcode", "city", "country", "vat_id", "language", "reference", "purchase_order")
        buyer = replace(
            buyer,
            electronic_address=profile.electronic_address,
            **{name: getattr(profile, name) for name in names},
        )
    if buyer.vat_id is None and buyer.tax_id is not None:
        try:
            read = vat_id.read_vat_id(buyer.tax_id, country=buyer.country)
        except ValueError:
            return buyer
        buyer = replace(buyer, vat_id=read.text, tax_id=None, country=buyer.country or read.country)
    elif buyer.tax_id == buyer.vat_id:
        buyer = replace(buyer, tax_id=None)
    return buyer


def evidence_of(session: Session, buyer: Buyer, occasion: Occasion) -> VatIdCheck | None:
    """The newest check of the buyer's VAT id, made now if there is none; None for a buyer without one."""
    if buyer.vat_id is None:
        return None
    return repository.latest_check(session, buyer.id, buyer.vat_id) or _record(
        session, buyer.id, buyer.vat_id, occasion
    )


def _record(session: Session, customer_id: str, text: str, occasion: Occasion) -> VatIdCheck:
    check = VatIdCheck(
        customer_id=customer_id,
        vat_id=text,
        checked_at=occasion.at,
        method=vat_id.METHOD,
        is_valid=True,  # Whoever comes here has read it: what cannot be one was refused.
        detail=None,
        consultation_number=None,
    )
    session.add(check)
    session.flush()
    return check


def _check(seller: Seller) -> Seller:
    """*seller* with its identifiers in their compact form. Raises `Invalid` naming the first that cannot be one."""
    if not seller.name.strip() or not seller.country:
        raise Invalid("a legal entity needs a name and a country")
    for name in _TEXTS:
        value = getattr(seller, name)
        if value is not None and (
            len(value) > _TEXT_CHARACTERS_MAX.get(name, _CHARACTERS_MAX) or not value.isprintable()
        ):
            raise Invalid(f"{name.replace('_', ' ')}: {value[:40]!r} is too long or not printable")
    if len(seller.address) > ADDRESS_LINES_MAX or len(seller.payment) > ADDRESS_LINES_MAX:
        raise Invalid(f"an address has at most {ADDRESS_LINES_MAX} lines")
    country = _country(seller.country)
    try:
        exponent(seller.base_currency)
        vat = vat_id.read_vat_id(seller.vat_id, country=country).text if seller.vat_id else None
    except ValueError as error:
        raise Invalid(str(error)) from error
    try:
        iban = ibans.validate(seller.iban) if seller.iban else None
        bic = bics.validate(seller.bic) if seller.bic else None
    except ValidationError as error:
        raise Invalid(f"IBAN or BIC: {error}") from error
    return replace(seller, country=country, vat_id=vat, iban=iban, bic=bic)


def _country(text: str) -> str:
    code = text.strip().upper()
    if code not in COUNTRIES:
        raise Invalid(f"{text!r} is not a country of ISO 3166-1, such as DE")
    return code


def _write(entity: LegalEntity, seller: Seller) -> None:
    entity.address = "\n".join(seller.address)
    entity.payment = "\n".join(seller.payment)
    entity.base_currency = seller.base_currency
    for name in _TEXTS:
        setattr(entity, name, getattr(seller, name))
