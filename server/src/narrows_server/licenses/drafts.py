"""
Drafts of licenses: what will be signed, and what it takes the place of.

Made from an admin's order, or from a license that is to be renewed or moved. Nothing is signed or kept here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from narrows_licensing.binding import UNBOUND, Binding
from narrows_licensing.development import DEVELOPMENT_PRESETS
from narrows_licensing.entitlement import PIXELS_MAX, PROFILES, Entitlements, Overage
from narrows_licensing.errors import LicensingError
from narrows_licensing.license import Kind, LeaseTerms, License, MeteringMode, MeteringTerms
from narrows_licensing.signature import Typ, verify
from sqlalchemy.orm import Session

from narrows_server.contracts.service import document_on, require_contract
from narrows_server.customers.service import require_customer
from narrows_server.errors import Invalid, NotFound
from narrows_server.identity import new_id
from narrows_server.keyring import Keyring
from narrows_server.licenses.models import IssuedLicense

ALL_PRESETS = DEVELOPMENT_PRESETS
GRACE_DAYS = 14
DAYS_MAX = 1096  # Three years; a key is trusted for five, and a license must not outlive its key.
TRIAL_DAYS_MAX = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseOrder:
    """What an admin asks for."""

    customer_id: str
    contract_id: str
    kind: Kind = Kind.PRODUCTION
    days: int = 365
    grace_days: int = GRACE_DAYS
    maintenance_until: date | None = None
    presets: tuple[str, ...] = ALL_PRESETS
    profiles: tuple[str, ...] = PROFILES
    max_pixels: int = PIXELS_MAX
    max_concurrent_encodes: int | None = None
    overage: Overage = Overage.NONE
    report_url: str | None = None
    max_unreported_days: int | None = None
    max_unreported_bytes: int | None = None
    binding: Binding = UNBOUND
    lease: LeaseTerms | None = None
    sdk_min: str = "0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A license that nobody has signed. Its id and number are given when it is issued."""

    license: License
    replaces: str | None = field(default=None)
    revokes_replaced: bool = False

    def to_json(self) -> str:
        """Write the draft, for somebody else to approve."""
        members = {
            "claims": self.license.claims(),
            "replaces": self.replaces,
            "revokes_replaced": self.revokes_replaced,
        }
        return json.dumps(members, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Draft:
        """Read what `to_json` wrote into our own database."""
        members: dict[str, Any] = json.loads(text)
        return cls(
            license=License.from_claims(members["claims"]),
            replaces=members["replaces"],
            revokes_replaced=members["revokes_replaced"],
        )


def draft_new(session: Session, order: LicenseOrder, *, keyring: Keyring, at: datetime) -> Draft:
    """
    Draft what an admin ordered.

    Raises `NotFound` for an unknown customer or contract, `Invalid` for an order that no SDK would accept.
    """
    customer = require_customer(session, order.customer_id)
    contract = require_contract(session, order.contract_id)
    if contract.customer_id != customer.id:
        raise NotFound(f"customer {customer.id} has no contract {order.contract_id}")
    if order.kind is Kind.DEVELOPMENT:
        raise Invalid("development licenses are made by the SDK itself; issue a trial or a production license")
    _check_days(order.kind, order.days)
    issued_at = at.replace(microsecond=0)
    days = order.max_unreported_days
    license = License(
        license_id=new_id("lic"),
        customer_id=customer.id,
        kind=order.kind,
        issued_at=issued_at,
        not_before=issued_at,
        expires_at=issued_at + timedelta(days=order.days),
        grace=timedelta(days=order.grace_days),
        maintenance_until=order.maintenance_until,
        entitlements=Entitlements(
            encode=True,
            presets=order.presets,
            profiles=order.profiles,
            max_pixels=order.max_pixels,
            max_concurrent_encodes=order.max_concurrent_encodes,
            overage=order.overage,
        ),
        metering=MeteringTerms(
            mode=MeteringMode.REQUIRED,
            report_url=order.report_url,
            contract_id=contract.id,
            baseline_id=document_on(session, contract.id, issued_at.date()).baseline,
            max_unreported=None if days is None else timedelta(days=days),
            max_unreported_bytes=order.max_unreported_bytes,
        ),
        bundle_min=keyring.bundle.version,
        sdk_min=order.sdk_min,
        binding=order.binding,
        lease=order.lease,
    )
    return _checked(Draft(license=license), keyring)


def draft_renewal(issued: IssuedLicense, *, days: int, keyring: Keyring, at: datetime) -> Draft:
    """Draft the same license for *days* more, from its end or from now, whichever is later."""
    if issued.revoked_at is not None:
        raise Invalid(f"license {issued.id} was revoked; issue a new one")
    license = license_of(issued, keyring)
    _check_days(license.kind, days)
    begins_at = at.replace(microsecond=0)
    renewed = replace(
        license,
        license_id=new_id("lic"),
        issued_at=begins_at,
        not_before=begins_at,
        expires_at=max(license.expires_at, begins_at) + timedelta(days=days),
        bundle_min=keyring.bundle.version,
    )
    return _checked(Draft(license=renewed, replaces=issued.id), keyring)


def draft_transfer(issued: IssuedLicense, *, binding: Binding, keyring: Keyring, at: datetime) -> Draft:
    """Draft the same license for another machine, application or workload; the old one is revoked with it."""
    if issued.revoked_at is not None:
        raise Invalid(f"license {issued.id} was revoked; issue a new one")
    license = license_of(issued, keyring)
    begins_at = at.replace(microsecond=0)
    if license.expires_at <= begins_at:
        raise Invalid(f"license {issued.id} has expired; renew it first")
    moved = replace(
        license,
        license_id=new_id("lic"),
        issued_at=begins_at,
        not_before=begins_at,
        bundle_min=keyring.bundle.version,
        binding=binding,
    )
    return _checked(Draft(license=moved, replaces=issued.id, revokes_replaced=True), keyring)


def license_of(issued: IssuedLicense, keyring: Keyring) -> License:
    """The license as it was signed, by a key that is trusted or was. Raises `Invalid` for what can't be read."""
    try:
        return License.from_claims(verify(issued.token, typ=Typ.LICENSE, keys=keyring.own_license_keys()))
    except LicensingError as error:
        raise Invalid(f"license {issued.id} can't be read any more; issue a new one: {error}") from error


def _check_days(kind: Kind, days: int) -> None:
    longest = TRIAL_DAYS_MAX if kind is Kind.TRIAL else DAYS_MAX
    if not 1 <= days <= longest:
        raise Invalid(f"a {kind} license lasts 1 to {longest} days, not {days}")


def _checked(draft: Draft, keyring: Keyring) -> Draft:
    license = draft.license
    try:
        license.claims()
    except LicensingError as error:
        raise Invalid(f"no SDK would accept this license: {error}") from error
    if license.expires_at + license.grace > keyring.bundle.expires_at:
        raise Invalid(f"the trust bundle ends on {keyring.bundle.expires_at:%Y-%m-%d}, before this license would")
    return draft
