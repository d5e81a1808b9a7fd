"""
A lease: one seat of a floating license, held by one machine for a while, as a signed token.

It is signed by the vendor's server, or by a relay whose certificate comes with it. Who may have a seat is decided by
`pool`; here a lease is written, read and believed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from narrows_licensing.certificate import read_relay_certificate
from narrows_licensing.claims import ClaimReader, seconds_of
from narrows_licensing.errors import DocumentUnreadable, SignatureRefused
from narrows_licensing.revocation import RevocationList, Status
from narrows_licensing.signature import TOKEN_BYTES_MAX, Typ, verify
from narrows_licensing.strict_json import JsonRefused, read_object, write_object
from narrows_licensing.trust import AUDIENCE, ISSUER, Role, TrustBundle

LEASE_FORMAT: Final = "narrows-lease/1"
LEASE_BYTES_MAX: Final = 32 * 1024
RENEWAL_EARLIEST, RENEWAL_LATEST = 0.4, 0.6  # Of a lease's life.


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A seat, for one holder, until it ends."""

    lease_id: str
    license_id: str
    customer_id: str
    holder: str  # Whoever holds it: an installation, a pod.
    issued_at: datetime  # Aware, UTC.
    expires_at: datetime  # From this moment on the seat is free again.
    is_borrowed: bool  # Taken along: it is not renewed, and not freed before its end unless it is brought back.

    def claims(self) -> dict[str, Any]:
        """Return what is signed, as `Typ.LEASE`."""
        return {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": self.customer_id,
            "jti": self.lease_id,
            "license_id": self.license_id,
            "holder": self.holder,
            "iat": seconds_of(self.issued_at),
            "exp": seconds_of(self.expires_at),
            "is_borrowed": self.is_borrowed,
        }

    @classmethod
    def from_claims(cls, claims: dict[str, Any]) -> Lease:
        """Read what `claims` wrote. Raises `DocumentUnreadable`, naming the member."""
        reader = ClaimReader(claims, error=DocumentUnreadable)
        reader.constant("iss", ISSUER)
        reader.constant("aud", AUDIENCE)
        lease = cls(
            lease_id=reader.identifier("jti"),
            license_id=reader.identifier("license_id"),
            customer_id=reader.identifier("sub"),
            holder=reader.identifier("holder"),
            issued_at=reader.time("iat"),
            expires_at=reader.time("exp"),
            is_borrowed=reader.boolean("is_borrowed"),
        )
        reader.done()
        if lease.expires_at <= lease.issued_at:
            reader.refuse("exp", "is not after iat")
        return lease


def renewal_time(lease: Lease, chance: random.Random) -> datetime:
    """Return when to renew: at a random point of 40 to 60 % of its life, so that those who began together spread."""
    life = lease.expires_at - lease.issued_at
    return lease.issued_at + life * chance.uniform(RENEWAL_EARLIEST, RENEWAL_LATEST)


def lease_document(lease_token: str, relay_certificate: str | None) -> str:
    """Write a lease as it is handed out: the token, and the certificate of the relay if one signed it."""
    members = {"format": LEASE_FORMAT, "lease": lease_token, "relay": relay_certificate}
    return write_object(members, indent=2) + "\n"


def read_lease(text: str, bundle: TrustBundle, revocations: RevocationList | None, *, at: datetime) -> Lease:
    """
    Read a lease that the vendor signed, or a relay that the vendor certified for that license and customer.

    Raises `SignatureRefused` if it is not to be believed *at* this time, `DocumentUnreadable` for the contents.
    Whether it has ended is the caller's to decide.
    """
    if len(text) > LEASE_BYTES_MAX:
        raise DocumentUnreadable("document", f"has more than {LEASE_BYTES_MAX} characters")
    try:
        reader = ClaimReader(read_object(text), error=DocumentUnreadable)
    except JsonRefused as error:
        raise DocumentUnreadable("document", str(error)) from error
    reader.constant("format", LEASE_FORMAT)
    token = reader.text("lease", characters_max=TOKEN_BYTES_MAX)
    relay = reader.text_or_none("relay", characters_max=TOKEN_BYTES_MAX)
    reader.done()
    keys = bundle.keys_for(Role.LEASE, at)
    if relay is None:
        return Lease.from_claims(verify(token, typ=Typ.LEASE, keys=keys))
    certificate = read_relay_certificate(relay, keys)
    lease = Lease.from_claims(verify(token, typ=Typ.LEASE, keys={certificate.relay_id: certificate.key}))
    if certificate.seats_of(lease.license_id) is None or certificate.customer_id != lease.customer_id:
        raise SignatureRefused("the relay may not hand out this license")
    if not certificate.issued_at - timedelta(days=1) <= at < certificate.expires_at:
        raise SignatureRefused(f"the relay's certificate ended on {certificate.expires_at:%Y-%m-%d}")
    if lease.expires_at > certificate.expires_at:
        raise SignatureRefused("the lease would outlive the relay's certificate")
    if revocations is not None and revocations.status_of(certificate.status_index) is not Status.GOOD:
        raise SignatureRefused("the relay's certificate was taken back")
    return lease
