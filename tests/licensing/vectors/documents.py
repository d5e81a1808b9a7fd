"""One valid document of every type that anybody signs, and how each is read. The same bytes on every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from narrows_licensing.binding import bind_components
from narrows_licensing.certificate import (
    InstallationCertificate,
    Pool,
    RelayCertificate,
    read_installation_certificate,
    read_relay_certificate,
)
from narrows_licensing.lease import Lease
from narrows_licensing.lease_request import LeaseRequest, read_lease_request
from narrows_licensing.license import LeaseTerms
from narrows_licensing.request import Purpose, Request, read_request
from narrows_licensing.revocation import RevocationList, read_revocations, sign_revocations
from narrows_licensing.signature import Typ, sign, sign_detached, thumbprint, verify, verify_detached
from narrows_licensing.strict_json import read_object, write_object
from narrows_licensing.testing import NOW, Vendor, a_key, a_license
from narrows_licensing.trust import Role, read_bundle, sign_bundle

VENDOR = Vendor()
INSTALLATION = a_key("installation")
RELAY = a_key("relay")
REPORT = b'{"first_seq":1,"last_seq":2}'
STATEMENT = b'{"share":{"due":1}}'
BENCH = b'{"clips":1}'


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDocument:
    """A document, and the reader that its receivers use."""

    name: str
    typ: Typ
    text: str
    kid: str  # Of the key that signed it.
    read: Callable[[str], object]  # Raises `LicensingError` for everything but the document as it was signed.


def documents() -> list[SignedDocument]:
    """One of every type."""
    keys = {role: VENDOR.bundle().keys_for(role, NOW) for role in Role}
    kid = {role: next(iter(keys[role])) for role in Role}

    def token(name: str, typ: Typ, role: Role, claims: dict[str, object]) -> SignedDocument:
        text = sign(claims, typ=typ, key=VENDOR.key(role))
        return SignedDocument(
            name=name, typ=typ, text=text, kid=kid[role], read=lambda t: verify(t, typ=typ, keys=keys[role])
        )

    certificate = InstallationCertificate(
        certificate_id="CRT-0001",
        customer_id="CUS-0001",
        key=INSTALLATION.public_key(),
        issued_at=NOW,
        expires_at=NOW + timedelta(days=365),
        status_index=7,
    )
    relay = RelayCertificate(
        certificate_id="CRT-0002",
        customer_id="CUS-0001",
        key=RELAY.public_key(),
        issued_at=NOW,
        expires_at=NOW + timedelta(days=365),
        status_index=8,
        pools=(Pool(license_id="LIC-0001", seats=50),),
    )
    lease = Lease(
        lease_id="LEA-0001",
        license_id="LIC-0001",
        customer_id="CUS-0001",
        holder="pod-1",
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=600),
        is_borrowed=False,
    )
    request = Request(
        purpose=Purpose.ENROL,
        key=INSTALLATION.public_key(),
        license_id="LIC-0001",
        machine=bind_components({"board": "b", "disk": "d"}, required=1, salt="s" * 22),
        sdk_version="0.1.0",
        bundle_version=1,
        asked_at=NOW,
        nonce="n" * 22,
    )
    floating = replace(a_license(), lease=LeaseTerms())
    floating = replace(floating, entitlements=replace(floating.entitlements, max_concurrent_encodes=50))
    lease_request = LeaseRequest(
        key=INSTALLATION.public_key(),
        license_token=sign(floating.claims(), typ=Typ.LICENSE, key=VENDOR.key(Role.LICENSE)),
        place=0,
        asked_at=NOW,
    )
    revocations = RevocationList.of(version=1, issued_at=NOW, revoked=[3], suspended=[5])
    receipt: dict[str, object] = {"installation_id": thumbprint(INSTALLATION.public_key()), "last_seq": 2}
    head: dict[str, object] = {"tree_size": 1, "root_hash": "00" * 32, "time": "2026-11-23T08:00:00Z"}
    own = {thumbprint(INSTALLATION.public_key()): INSTALLATION.public_key()}
    return [
        token("license", Typ.LICENSE, Role.LICENSE, a_license().claims()),
        token("receipt", Typ.RECEIPT, Role.RECEIPT, receipt),
        token("tree head", Typ.TREE_HEAD, Role.RECEIPT, head),
        token("license log", Typ.LICENSE_LOG, Role.RECEIPT, head | {"sub": "CUS-0001"}),
        token("lease", Typ.LEASE, Role.LEASE, lease.claims()),
        SignedDocument(
            name="revocations",
            typ=Typ.REVOCATIONS,
            text=sign_revocations(revocations, key=VENDOR.key(Role.REVOCATION)),
            kid=kid[Role.REVOCATION],
            read=lambda text: read_revocations(text, keys[Role.REVOCATION]),
        ),
        SignedDocument(
            name="installation certificate",
            typ=Typ.INSTALLATION,
            text=sign(certificate.claims(), typ=Typ.INSTALLATION, key=VENDOR.key(Role.INSTALLATION)),
            kid=kid[Role.INSTALLATION],
            read=lambda text: read_installation_certificate(text, keys[Role.INSTALLATION]),
        ),
        SignedDocument(
            name="relay certificate",
            typ=Typ.RELAY,
            text=sign(relay.claims(), typ=Typ.RELAY, key=VENDOR.key(Role.LEASE)),
            kid=kid[Role.LEASE],
            read=lambda text: read_relay_certificate(text, keys[Role.LEASE]),
        ),
        SignedDocument(
            name="request",
            typ=Typ.REQUEST,
            text=request.sign(INSTALLATION),
            kid=request.installation_id,
            read=read_request,
        ),
        SignedDocument(
            name="lease request",
            typ=Typ.LEASE_REQUEST,
            text=lease_request.sign(INSTALLATION),
            kid=lease_request.installation_id,
            read=read_lease_request,
        ),
        SignedDocument(
            name="report",
            typ=Typ.REPORT,
            text=sign_detached(REPORT, typ=Typ.REPORT, key=INSTALLATION),
            kid=thumbprint(INSTALLATION.public_key()),
            read=lambda text: verify_detached(text, REPORT, typ=Typ.REPORT, keys=own),
        ),
        SignedDocument(
            name="statement",
            typ=Typ.STATEMENT,
            text=sign_detached(STATEMENT, typ=Typ.STATEMENT, key=VENDOR.key(Role.RECEIPT)),
            kid=kid[Role.RECEIPT],
            read=lambda text: verify_detached(text, STATEMENT, typ=Typ.STATEMENT, keys=keys[Role.RECEIPT]),
        ),
        SignedDocument(
            name="bench",
            typ=Typ.BENCH,
            text=sign_detached(BENCH, typ=Typ.BENCH, key=VENDOR.key(Role.RECEIPT)),
            kid=kid[Role.RECEIPT],
            read=lambda text: verify_detached(text, BENCH, typ=Typ.BENCH, keys=keys[Role.RECEIPT]),
        ),
        SignedDocument(
            name="bundle",
            typ=Typ.BUNDLE,
            text=write_object(sign_bundle(VENDOR.bundle(), VENDOR.root_keys[:2])),
            kid="",
            read=lambda text: read_bundle(read_object(text), VENDOR.roots),
        ),
    ]
