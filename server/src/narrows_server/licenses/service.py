"""
Issuing licenses and taking them back. Whether a license permits something is decided by `narrows_licensing.policy`.

What is signed comes from `drafts`; that two people agree on it is `proposals`' concern.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from narrows_licensing.document import LicenseFile, open_license
from narrows_licensing.errors import LicensingError
from narrows_licensing.license import License
from narrows_licensing.revocation import RevocationList, revocation_claims
from narrows_licensing.signature import Typ
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.contracts.service import require_contract
from narrows_server.customers.service import require_customer
from narrows_server.errors import Invalid, NotFound
from narrows_server.keyring import Keyring
from narrows_server.licenses import repository
from narrows_server.licenses.drafts import ALL_PRESETS, Draft, LicenseOrder, draft_new, license_of
from narrows_server.licenses.models import IssuedLicense, PublishedRevocations
from narrows_server.signing import sign_token

__all__ = [
    "ALL_PRESETS",
    "LicenseOrder",
    "issue",
    "issue_draft",
    "license_file",
    "publish",
    "reinstate",
    "require_license",
    "revoke",
    "state",
    "suspend",
]


def issue(session: Session, order: LicenseOrder, *, keyring: Keyring, occasion: Occasion) -> IssuedLicense:
    """
    Sign a license and keep it.

    Raises `NotFound` for an unknown customer or contract, `Invalid` for an order that no SDK would accept.
    """
    draft = draft_new(session, order, keyring=keyring, at=occasion.at)
    return issue_draft(session, draft, keyring=keyring, occasion=occasion)


def issue_draft(session: Session, draft: Draft, *, keyring: Keyring, occasion: Occasion) -> IssuedLicense:
    """Sign what was drafted and keep it; what it is to replace is revoked if the draft says so."""
    license = replace(draft.license, status_index=repository.take_status_index(session))
    customer = require_customer(session, license.customer_id)
    contract = require_contract(session, license.metering.contract_id)
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
        grace_days=license.grace.days,
        suspended_at=None,
        revoked_at=None,
        status_index=license.status_index,
        replaces=draft.replaces,
        token=token,
        customer=customer,
    )
    session.add(issued)
    audit.write(
        session,
        occasion,
        "license.issued",
        issued.id,
        contract=contract.id,
        customer=customer.id,
        replaces=draft.replaces,
    )
    if draft.replaces is not None and draft.revokes_replaced:
        session.flush()
        revoke(session, draft.replaces, keyring=keyring, occasion=occasion)
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


def revoke(
    session: Session, license_id: str, *, keyring: Keyring, reason: str | None = None, occasion: Occasion
) -> IssuedLicense:
    """Take a license back for good and publish the next revocation list. Revoking it again changes nothing."""
    issued = require_license(session, license_id)
    if issued.revoked_at is not None:
        return issued
    _require_number(issued, keyring)
    issued.revoked_at, issued.suspended_at = occasion.at, None
    version = publish(session, keyring=keyring, occasion=occasion).version
    told: dict[str, str | int | None] = {"customer": issued.customer_id, "list_version": version, "reason": reason}
    audit.write(session, occasion, "license.revoked", issued.id, **told)
    return issued


def suspend(
    session: Session, license_id: str, *, keyring: Keyring, reason: str | None = None, occasion: Occasion
) -> IssuedLicense:
    """Take a license back until `reinstate`, and publish the next list. Suspending it again changes nothing."""
    issued = require_license(session, license_id)
    if issued.revoked_at is not None:
        raise Invalid(f"license {license_id} was revoked, which is for good")
    if issued.suspended_at is not None:
        return issued
    _require_number(issued, keyring)
    issued.suspended_at = occasion.at
    version = publish(session, keyring=keyring, occasion=occasion).version
    told: dict[str, str | int | None] = {"customer": issued.customer_id, "list_version": version, "reason": reason}
    audit.write(session, occasion, "license.suspended", issued.id, **told)
    return issued


def reinstate(session: Session, license_id: str, *, keyring: Keyring, occasion: Occasion) -> IssuedLicense:
    """Lift a suspension and publish the next list. Without one it changes nothing."""
    issued = require_license(session, license_id)
    if issued.revoked_at is not None:
        raise Invalid(f"license {license_id} was revoked, which is for good; issue a new one")
    if issued.suspended_at is None:
        return issued
    issued.suspended_at = None
    version = publish(session, keyring=keyring, occasion=occasion).version
    audit.write(session, occasion, "license.reinstated", issued.id, customer=issued.customer_id, list_version=version)
    return issued


def publish(session: Session, *, keyring: Keyring, occasion: Occasion) -> PublishedRevocations:
    """Sign the next revocation list, of how all licenses stand now."""
    latest = repository.get_latest_revocations(session)
    session.flush()
    revocations = RevocationList.of(
        version=latest.version + 1 if latest else 1,
        issued_at=occasion.at,
        revoked=repository.revoked_numbers(session),
        suspended=repository.suspended_numbers(session),
    )
    token = sign_token(revocation_claims(revocations), typ=Typ.REVOCATIONS, key=keyring.revocation)
    published = PublishedRevocations(version=revocations.version, issued_at=occasion.at, token=token)
    session.add(published)
    audit.write(session, occasion, "revocations.published", str(revocations.version))
    return published


def require_license(session: Session, license_id: str) -> IssuedLicense:
    """The license with this id. Raises `NotFound`."""
    issued = repository.get_license(session, license_id)
    if issued is None:
        raise NotFound(f"there is no license {license_id}")
    return issued


def state(issued: IssuedLicense, at: datetime) -> str:
    """How a license stands, in one of the words of the console: valid, grace, expired, suspended or revoked."""
    if issued.revoked_at is not None:
        return "revoked"
    if at >= issued.expires_at + issued.grace:
        return "expired"
    if issued.suspended_at is not None:
        return "suspended"
    return "valid" if at < issued.expires_at else "grace"


def _require_number(issued: IssuedLicense, keyring: Keyring) -> None:
    """A license from before there were numbers can't be put on a list."""
    if license_of(issued, keyring).status_index != issued.status_index:
        raise Invalid(f"license {issued.id} carries no number and can't be taken back before it expires")
