"""Customers, tariffs and contracts: made once, checked as they are made, and not changed afterwards."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from narrows_metering.money import exponent
from narrows_metering.share import SharePart, ShareTier
from narrows_metering.tariff import BYTES_PER_GB, Tier
from narrows_metering.tariff import Tariff as TariffTerms
from narrows_metering.terms import Terms
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.customers import repository
from narrows_server.customers.models import Contract, Customer, Tariff
from narrows_server.errors import AlreadyExists, Invalid, NotFound
from narrows_server.identity import new_id, require_id, slug
from narrows_server.parties.party import ADDRESS_LINES_MAX, Party

NAME_CHARACTERS_MAX = 200
TERMS_DAYS_MAX = 180
BASELINES = ("libx264-medium", "libx265-medium")
METRICS = ("ms_ssim", "psnr")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractOrder:
    """The terms that somebody asks for."""

    customer_id: str
    tariff_id: str
    share_percent: Decimal
    baseline_id: str
    metric: str
    starts_on: date
    terms_days: int = 30


def add_customer(session: Session, party: Party, *, customer_id: str | None = None, occasion: Occasion) -> Customer:
    """A new customer; its id comes from its name unless one is given. Raises `AlreadyExists`, `Invalid`."""
    _check_name(party.name)
    if len(party.address) > ADDRESS_LINES_MAX:
        raise Invalid(f"an address has at most {ADDRESS_LINES_MAX} lines")
    chosen = require_id(customer_id or slug(party.name))
    if repository.get_customer(session, chosen):
        raise AlreadyExists(f"there is a customer {chosen} already; choose another id with --id")
    customer = Customer(
        id=chosen,
        name=party.name,
        address="\n".join(party.address),
        email=party.email,
        tax_id=party.tax_id,
        created_at=occasion.at,
    )
    session.add(customer)
    audit.write(session, occasion, "customer.added", chosen, name=party.name)
    return customer


def add_tariff(
    session: Session,
    name: str,
    *,
    currency: str,
    tiers: tuple[Tier, ...],
    tariff_id: str | None = None,
    occasion: Occasion,
) -> Tariff:
    """A new tariff with graduated *tiers*, the last of them without an end. Raises `AlreadyExists`, `Invalid`."""
    _check_name(name)
    chosen = require_id(tariff_id or slug(name))
    try:
        exponent(currency)
        TariffTerms(tariff_id=chosen, tiers=tiers)
    except ValueError as error:
        raise Invalid(str(error)) from error
    if repository.get_tariff(session, chosen):
        raise AlreadyExists(f"there is a tariff {chosen} already; choose another id with --id")
    document = json.dumps([[tier.up_to_bytes, str(tier.price_per_gb)] for tier in tiers])
    tariff = Tariff(id=chosen, name=name, currency=currency, tiers=document, created_at=occasion.at)
    session.add(tariff)
    audit.write(session, occasion, "tariff.added", chosen, currency=currency, tiers=document)
    return tariff


def add_contract(
    session: Session, order: ContractOrder, *, contract_id: str | None = None, occasion: Occasion
) -> Contract:
    """A new contract. Raises `NotFound` for its customer or tariff, `AlreadyExists`, `Invalid` for its terms."""
    customer = require_customer(session, order.customer_id)
    tariff = require_tariff(session, order.tariff_id)
    if not order.share_percent.is_finite() or not 0 < order.share_percent <= 100:
        raise Invalid(f"a share lies above 0 % and at 100 % at most, not at {order.share_percent} %")
    if order.share_percent != round(order.share_percent, 4):
        raise Invalid("a share has at most four decimals")
    if order.baseline_id not in BASELINES:
        raise Invalid(f"{order.baseline_id!r} is not one of the baselines {', '.join(BASELINES)}")
    if order.metric not in METRICS:
        raise Invalid(f"{order.metric!r} is not one of the metrics {', '.join(METRICS)}")
    if order.starts_on.day != 1:
        raise Invalid("a contract starts on the first of a month: statements are about whole months")
    if not 0 <= order.terms_days <= TERMS_DAYS_MAX:
        raise Invalid(f"an invoice is due after 0 to {TERMS_DAYS_MAX} days, not {order.terms_days}")
    chosen = require_id(contract_id or new_id("con"))
    if repository.get_contract(session, chosen):
        raise AlreadyExists(f"there is a contract {chosen} already; choose another id with --id")
    contract = Contract(
        id=chosen,
        customer_id=customer.id,
        tariff_id=tariff.id,
        share_percent=str(order.share_percent),
        baseline_id=order.baseline_id,
        metric=order.metric,
        starts_on=order.starts_on,
        terms_days=order.terms_days,
        created_at=occasion.at,
        customer=customer,
        tariff=tariff,
    )
    session.add(contract)
    audit.write(session, occasion, "contract.added", chosen, customer=customer.id, tariff=tariff.id)
    return contract


def require_customer(session: Session, customer_id: str) -> Customer:
    """The customer with this id. Raises `NotFound`."""
    customer = repository.get_customer(session, customer_id)
    if customer is None:
        raise NotFound(f"there is no customer {customer_id}")
    return customer


def require_tariff(session: Session, tariff_id: str) -> Tariff:
    """The tariff with this id. Raises `NotFound`."""
    tariff = repository.get_tariff(session, tariff_id)
    if tariff is None:
        raise NotFound(f"there is no tariff {tariff_id}")
    return tariff


def require_contract(session: Session, contract_id: str) -> Contract:
    """The contract with this id. Raises `NotFound`."""
    contract = repository.get_contract(session, contract_id)
    if contract is None:
        raise NotFound(f"there is no contract {contract_id}")
    return contract


def tiers_of(tariff: Tariff) -> tuple[Tier, ...]:
    """The tiers of a stored tariff."""
    return tuple(
        Tier(up_to_bytes=up_to_bytes, price_per_gb=Decimal(price)) for up_to_bytes, price in json.loads(tariff.tiers)
    )


def terms_of(contract: Contract) -> Terms:
    """The terms of a stored contract, as statements are drawn up under them."""
    return Terms(
        contract_id=contract.id,
        customer_id=contract.customer_id,
        baseline_id=contract.baseline_id,
        metric=contract.metric,
        share=(SharePart(from_day=1, tiers=(ShareTier(up_to_minor=None, percent=Decimal(contract.share_percent)),)),),
        currency=contract.tariff.currency,
        tariff=TariffTerms(tariff_id=contract.tariff_id, tiers=tiers_of(contract.tariff)),
    )


def party_of(customer: Customer) -> Party:
    """A stored customer as the addressee of an invoice."""
    return Party(
        name=customer.name,
        address=tuple(customer.address.splitlines()),
        email=customer.email,
        tax_id=customer.tax_id,
    )


def tier_from_text(text: str) -> Tier:
    """
    Read `UP_TO_GB:PRICE`: "10000:0.05" is 5 cents a GB up to 10,000 GB, ":0.04" is 4 cents for all above.

    Raises `Invalid`.
    """
    up_to, _, price = text.partition(":")
    try:
        up_to_bytes = Fraction(up_to) * BYTES_PER_GB if up_to else None
        if up_to_bytes is not None and up_to_bytes.denominator != 1:
            raise ValueError("the limit is not a whole number of bytes")
        return Tier(up_to_bytes=None if up_to_bytes is None else int(up_to_bytes), price_per_gb=Decimal(price))
    except (ValueError, ArithmeticError) as error:
        raise Invalid(f"{text!r} is not a tier: write UP_TO_GB:PRICE, and :PRICE for the last") from error


def _check_name(name: str) -> None:
    if not name.strip() or name != name.strip() or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise Invalid(f"a name has 1 to {NAME_CHARACTERS_MAX} printable characters and no blanks around them")
