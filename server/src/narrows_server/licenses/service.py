"""Issuing and revoking licenses. Whether a license permits something is decided by `narrows_licensing.policy`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from narrows_licensing.development import DEVELOPMENT_PRESETS
from narrows_licensing.document import LicenseFile, open_license
from narrows_licensing.errors import LicensingError
from narrows_licensing.license import PIXELS_MAX, Entitlements, Kind, License, MeteringMode, MeteringTerms
from narrows_licensing.revocation import RevocationList, sign_revocations
from narrows_licensing.signature import Typ
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.customers.service import require_contract, require_customer
from narrows_server.errors import Invalid, NotFound
from narrows_server.identity import new_id
from narrows_server.keyring import Keyring
from narrows_server.licenses import repository
from narrows_server.licenses.models import IssuedLicense, PublishedRevocations
from narrows_server.signing import sign_token

ALL_PRESETS = DEVELOPMENT_PRESETS
GRACE = timedelta(days=14)
DAYS_MAX = 1096  # Three years; a key is trusted for five, and a license must not outlive its key.


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseOrder:
    """What an admin asks for."""

    customer_id: str
    contract_id: str
    kind: Kind = Kind.PRODUCTION
    days: int = 365
    presets: tuple[str, ...] = ALL_PRESETS
    report_url: str | None = None


def issue(session: Session, order: LicenseOrder, *, keyring: Keyring, occasion: Occasion) -> IssuedLicense:
    """
    Sign a license and keep it.

    Raises `NotFound` for an unknown customer or contract, `Invalid` for an order that no SDK would accept.
    """
    customer = require_customer(session, order.customer_id)
    contract = require_contract(session, order.contract_id)
    if contract.customer_id != customer.id:
        raise NotFound(f"customer {customer.id} has no contract {order.contract_id}")
    if order.kind is Kind.DEVELOPMENT:
        raise Invalid("development licenses are made by the SDK itself; issue a trial or a production license")
    if not 1 <= order.days <= DAYS_MAX:
        raise Invalid(f"a license lasts 1 to {DAYS_MAX} days, not {order.days}")
    issued_at = occasion.at.replace(microsecond=0)
    license = License(
        license_id=new_id("lic"),
        customer_id=customer.id,
        kind=order.kind,
        issued_at=issued_at,
        not_before=issued_at,
        expires_at=issued_at + timedelta(days=order.days),
        grace=GRACE,
        maintenance_until=None,
        entitlements=Entitlements(encode=True, presets=order.presets, max_pixels=PIXELS_MAX),
        metering=MeteringTerms(
            mode=MeteringMode.REQUIRED,
            report_url=order.report_url,
            contract_id=contract.id,
            baseline_id=contract.baseline_id,
        ),
        bundle_min=keyring.bundle.version,
        sdk_min="0.1.0",
    )
    if license.expires_at + license.grace > keyring.bundle.expires_at:
        raise Invalid(f"the trust bundle ends on {keyring.bundle.expires_at:%Y-%m-%d}, before this license would")
    try:
        token = sign_token(license.claims(), typ=Typ.LICENSE, key=keyring.license)
    except LicensingError as error:
        raise Invalid(f"no SDK would accept this license: {error}") from error
    issued = IssuedLicense(
        id=license.license_id,
        customer_id=customer.id,
        contract_id=contract.id,
        kind=license.kind.value,
        issued_at=license.issued_at,
        expires_at=license.expires_at,
        revoked_at=None,
        token=token,
        customer=customer,
    )
    session.add(issued)
    audit.write(session, occasion, "license.issued", issued.id, contract=contract.id, customer=customer.id)
    return issued


def license_file(session: Session, license_id: str, *, keyring: Keyring, at: datetime) -> str:
    """
    The file that the customer puts beside the app: the license, the trust bundle and the latest revocation list.

    It is opened as the customer will open it before it is returned.
    """
    issued = require_license(session, license_id)
    revocations = repository.get_latest_revocations(session)
    text = LicenseFile(
        token=issued.token,
        bundle=dict(keyring.bundle_document),
        revocations=revocations.token if revocations else None,
    ).to_json()
    opened = open_license(text, roots=keyring.roots, at=at)
    if not isinstance(opened, License):
        raise Invalid(f"license {license_id} cannot be handed out: {opened.detail}")
    return text


def revoke(session: Session, license_id: str, *, keyring: Keyring, occasion: Occasion) -> IssuedLicense:
    """Take a license back and publish the next revocation list. Revoking it again changes nothing."""
    issued = require_license(session, license_id)
    if issued.revoked_at is not None:
        return issued
    latest = repository.get_latest_revocations(session)
    issued.revoked_at = occasion.at
    session.flush()
    published = RevocationList(
        version=latest.version + 1 if latest else 1,
        license_ids=repository.revoked_ids(session),
    )
    token = sign_revocations(published, key=keyring.revocation)
    session.add(PublishedRevocations(version=published.version, issued_at=occasion.at, token=token))
    audit.write(session, occasion, "license.revoked", issued.id, list_version=published.version)
    return issued


def require_license(session: Session, license_id: str) -> IssuedLicense:
    """The license with this id. Raises `NotFound`."""
    issued = repository.get_license(session, license_id)
    if issued is None:
        raise NotFound(f"there is no license {license_id}")
    return issued


def state(issued: IssuedLicense, at: datetime) -> str:
    """How a license stands, in one of the words of the console: valid, grace, expired or revoked."""
    if issued.revoked_at is not None:
        return "revoked"
    if at < issued.expires_at:
        return "valid"
    return "grace" if at < issued.expires_at + GRACE else "expired"
