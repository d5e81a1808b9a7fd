"""The log of everything ever signed in a customer's name, as `narrows_metering.license_log` has it."""

from __future__ import annotations

from datetime import datetime

from narrows_licensing.errors import LicensingError
from narrows_licensing.license import License
from narrows_licensing.signature import Typ, verify
from narrows_metering.license_log import LoggedDocument, LogHead, log_root, token_digest, write_log
from sqlalchemy.orm import Session

from narrows_server.customers.service import require_customer
from narrows_server.errors import NotFound
from narrows_server.keyring import Keyring
from narrows_server.licenses import repository
from narrows_server.licenses.models import IssuedCertificate, IssuedLicense
from narrows_server.signing import sign_token


def license_log(session: Session, customer_id: str, *, keyring: Keyring, at: datetime) -> str:
    """The log as a file, with a head signed now. Raises `NotFound`."""
    customer = require_customer(session, customer_id)
    entries = logged(session, customer.id)
    head = LogHead(customer_id=customer.id, tree_size=len(entries), root_hash=log_root(entries).hex(), time=at)
    return write_log(entries, sign_token(head.claims(), typ=Typ.LICENSE_LOG, key=keyring.receipt))


def license_log_for(session: Session, token: str, *, keyring: Keyring, at: datetime) -> str:
    """
    The log of the customer that holds the license *token*. Raises `NotFound` unless we issued exactly that one.

    Revoked and expired ones do as well: whoever was a customer may see what was signed in its name.
    """
    try:
        license = License.from_claims(verify(token, typ=Typ.LICENSE, keys=keyring.own_license_keys()))
    except LicensingError:
        raise NotFound("we never issued this license") from None
    issued = repository.get_license(session, license.license_id)
    if issued is None or issued.token != token:
        raise NotFound("we never issued this license")
    return license_log(session, issued.customer_id, keyring=keyring, at=at)


def logged(session: Session, customer_id: str) -> list[LoggedDocument]:
    """Everything in the log of a customer, in the order in which it was signed: that of the numbers."""
    signed: list[IssuedLicense | IssuedCertificate] = [
        *repository.list_licenses_of(session, customer_id),
        *repository.list_certificates_of(session, customer_id),
    ]
    return [_entry(document) for document in sorted(signed, key=lambda document: document.status_index)]


def _entry(document: IssuedLicense | IssuedCertificate) -> LoggedDocument:
    return LoggedDocument(
        kind="license" if isinstance(document, IssuedLicense) else document.kind,
        id=document.id,
        issued_at=document.issued_at,
        expires_at=document.expires_at,
        status_index=document.status_index,
        token_sha256=token_digest(document.token),
    )
