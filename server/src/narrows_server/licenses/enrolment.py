"""
Enrolment: certificates for the keys of customers' installations and relays, and the responses that carry them.

A request proves that whoever asks holds a key. That it is this customer's is an admin's word, and stands in the trail.
"""

from __future__ import annotations

from datetime import timedelta

from narrows_licensing.certificate import InstallationCertificate, Pool, RelayCertificate, read_relay_certificate
from narrows_licensing.document import LicenseFile
from narrows_licensing.errors import LicensingError
from narrows_licensing.pool import DRIFT
from narrows_licensing.request import Purpose, Request
from narrows_licensing.response import Response
from narrows_licensing.signature import Typ
from narrows_licensing.trust import Role
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.customers.service import require_customer
from narrows_server.errors import Invalid, NotFound
from narrows_server.identity import new_id
from narrows_server.keyring import Keyring
from narrows_server.leases import repository as leases
from narrows_server.licenses import repository
from narrows_server.licenses.drafts import license_of
from narrows_server.licenses.models import IssuedCertificate
from narrows_server.licenses.service import license_file, publish, require_license
from narrows_server.signing import sign_token

CERTIFICATE_LIFETIME = timedelta(days=366)


def enrol(
    session: Session, request: Request, *, customer_id: str, keyring: Keyring, occasion: Occasion
) -> IssuedCertificate:
    """Certify that the installation that asks is a customer's. Raises `NotFound`, `Invalid`."""
    if request.purpose is Purpose.RELAY:
        raise Invalid("this request is a relay's; say how many seats are its to hand out")
    certificate = InstallationCertificate(
        certificate_id=new_id("crt"),
        customer_id=require_customer(session, customer_id).id,
        key=request.key,
        issued_at=occasion.at,
        expires_at=occasion.at + CERTIFICATE_LIFETIME,
        status_index=repository.take_status_index(session),
    )
    token = sign_token(certificate.claims(), typ=Typ.INSTALLATION, key=keyring.installation)
    return _keep(session, certificate, token, kind="installation", occasion=occasion)


def certify_relay(
    session: Session, request: Request, *, license_id: str, seats: int, keyring: Keyring, occasion: Occasion
) -> IssuedCertificate:
    """
    Let the relay that asks hand out *seats* of a floating license.

    Raises `Invalid` if the license doesn't float, or if its relays would then have more seats than it has.
    """
    if request.purpose is not Purpose.RELAY:
        raise Invalid("this request is not a relay's")
    issued = require_license(session, license_id)
    license = license_of(issued, keyring)
    agreed = license.entitlements.max_concurrent_encodes
    if license.lease is None or agreed is None:
        raise Invalid(f"license {license_id} does not float; issue one with --lease")
    pool_id = leases.first_license(session, issued)
    # Locked, so that nobody takes a seat between the count and the certificate.
    leases.lock_pool(session, pool_id, customer_id=issued.customer_id, at=occasion.at)
    taken = leases.count_seats(session, pool_id, expires_after=occasion.at - DRIFT)
    promised = _seats_promised(session, issued.customer_id, license_id, request.installation_id, occasion, keyring)
    if not 1 <= seats <= agreed - promised - taken:
        raise Invalid(
            f"license {license_id} has {agreed} seats, {promised} of them with other relays and {taken} taken now"
        )
    certificate = RelayCertificate(
        certificate_id=new_id("crt"),
        customer_id=issued.customer_id,
        key=request.key,
        issued_at=occasion.at,
        expires_at=min(occasion.at + CERTIFICATE_LIFETIME, issued.expires_at + issued.grace),
        status_index=repository.take_status_index(session),
        pools=(Pool(license_id=license_id, seats=seats),),
    )
    try:
        token = sign_token(certificate.claims(), typ=Typ.RELAY, key=keyring.lease)
    except LicensingError as error:
        raise Invalid(str(error)) from error
    return _keep(session, certificate, token, kind="relay", occasion=occasion)


def withdraw(session: Session, certificate_id: str, *, keyring: Keyring, occasion: Occasion) -> IssuedCertificate:
    """Take a certificate back, not the customer's licenses, and publish the next list. Again changes nothing."""
    certificate = repository.get_certificate(session, certificate_id)
    if certificate is None:
        raise NotFound(f"there is no certificate {certificate_id}")
    if certificate.revoked_at is None:
        certificate.revoked_at = occasion.at
        version = publish(session, keyring=keyring, occasion=occasion).version
        audit.write(session, occasion, "certificate.withdrawn", certificate_id, list_version=version)
    return certificate


def respond(
    session: Session, certificate: IssuedCertificate, license_id: str | None, *, keyring: Keyring, occasion: Occasion
) -> Response:
    """The answer to a request: the certificate, and the license file if one is named."""
    text = license_file(session, license_id, keyring=keyring, at=occasion.at) if license_id else None
    if license_id is not None and require_license(session, license_id).customer_id != certificate.customer_id:
        raise NotFound(f"customer {certificate.customer_id} has no license {license_id}")
    return Response(certificate=certificate.token, license=LicenseFile.from_json(text) if text else None)


def _keep(
    session: Session,
    certificate: InstallationCertificate | RelayCertificate,
    token: str,
    *,
    kind: str,
    occasion: Occasion,
) -> IssuedCertificate:
    subject = certificate.relay_id if isinstance(certificate, RelayCertificate) else certificate.installation_id
    issued = IssuedCertificate(
        id=certificate.certificate_id,
        customer_id=certificate.customer_id,
        kind=kind,
        subject=subject,
        issued_at=certificate.issued_at,
        expires_at=certificate.expires_at,
        revoked_at=None,
        status_index=certificate.status_index,
        token=token,
    )
    session.add(issued)
    audit.write(session, occasion, f"{kind}.certified", issued.id, customer=issued.customer_id, key=subject)
    return issued


def _seats_promised(
    session: Session, customer_id: str, license_id: str, asking: str, occasion: Occasion, keyring: Keyring
) -> int:
    """
    Seats of a license that other relays may hand out; of several certificates of one relay the largest counts.

    One that was taken back counts until it ends: its site may not have heard of it.
    """
    keys = {key.kid: key.public_key for key in keyring.bundle.keys if key.role is Role.LEASE}
    promised: dict[str, int] = {}
    for issued in repository.list_certificates_of(session, customer_id):
        is_current = issued.expires_at > occasion.at and issued.subject != asking
        if issued.kind == "relay" and is_current:
            seats = read_relay_certificate(issued.token, keys).seats_of(license_id) or 0
            promised[issued.subject] = max(seats, promised.get(issued.subject, 0))
    return sum(promised.values())
