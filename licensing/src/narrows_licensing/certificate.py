"""
Certificates: the vendor's word that a key belongs to a customer's installation, or to a customer's relay.

An installation's certificate lets others tell its reports from a stranger's; a relay's lets it hand out the leases of
the pools that are named in it, at a site without a way out. Each is a token of its own type under a key of its own
role, has an end, and a number in the revocation list like a license.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from narrows_licensing.claims import ClaimReader, seconds_of
from narrows_licensing.errors import DocumentUnreadable, SignatureRefused
from narrows_licensing.license import STATUS_INDEX_MAX
from narrows_licensing.signature import (
    PUBLIC_KEY_CHARACTERS,
    Typ,
    public_key_from_text,
    public_key_to_text,
    thumbprint,
    verify,
)
from narrows_licensing.trust import AUDIENCE, ISSUER

POOL_COUNT_MAX: Final = 16
SEATS_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationCertificate:
    """An installation of a customer. `installation_id` is the thumbprint of `key`."""

    certificate_id: str
    customer_id: str
    key: Ed25519PublicKey
    issued_at: datetime  # Aware, UTC.
    expires_at: datetime
    status_index: int

    @property
    def installation_id(self) -> str:
        """Under which name the installation reports."""
        return thumbprint(self.key)

    def claims(self) -> dict[str, Any]:
        """Return what is signed, as `Typ.INSTALLATION` with a key of the installation role."""
        return _head(self) | {"key": public_key_to_text(self.key)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The seats of one license that a relay hands out."""

    license_id: str
    seats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayCertificate:
    """A relay at a customer's site, and the pools that are its to hand out."""

    certificate_id: str
    customer_id: str
    key: Ed25519PublicKey
    issued_at: datetime  # Aware, UTC.
    expires_at: datetime
    status_index: int
    pools: tuple[Pool, ...]

    @property
    def relay_id(self) -> str:
        """The name of the key that signs the relay's leases."""
        return thumbprint(self.key)

    def seats_of(self, license_id: str) -> int | None:
        """Return how many seats of a license are the relay's to hand out; None if the license is not."""
        return next((pool.seats for pool in self.pools if pool.license_id == license_id), None)

    def claims(self) -> dict[str, Any]:
        """Return what is signed, as `Typ.RELAY` with a key of the lease role."""
        pools = [{"license_id": pool.license_id, "seats": pool.seats} for pool in self.pools]
        return _head(self) | {"key": public_key_to_text(self.key), "pools": pools}


def read_installation_certificate(token: str, keys: Mapping[str, Ed25519PublicKey]) -> InstallationCertificate:
    """
    Read a certificate that one of *keys* (those of the installation role) signed.

    Raises `SignatureRefused` for the signature, `DocumentUnreadable` for the contents. Whether it has ended is the
    caller's to decide.
    """
    reader = ClaimReader(verify(token, typ=Typ.INSTALLATION, keys=keys), error=DocumentUnreadable)
    certificate = InstallationCertificate(**_read_head(reader))
    reader.done()
    return certificate


def read_relay_certificate(token: str, keys: Mapping[str, Ed25519PublicKey]) -> RelayCertificate:
    """Read a certificate that one of *keys* (those of the lease role) signed. Raises as above."""
    reader = ClaimReader(verify(token, typ=Typ.RELAY, keys=keys), error=DocumentUnreadable)
    head = _read_head(reader)
    count = len(reader.items("pools", count_max=POOL_COUNT_MAX))
    pools = tuple(_read_pool(reader.member("pools", index)) for index in range(count))
    reader.done()
    if len({pool.license_id for pool in pools}) != len(pools):
        reader.refuse("pools", "names a license twice")
    return RelayCertificate(**head, pools=pools)


def read_key(reader: ClaimReader, name: str) -> Ed25519PublicKey:
    """Return the public key in the member *name*; faults are raised as the reader's error."""
    try:
        return public_key_from_text(reader.text(name, characters_max=PUBLIC_KEY_CHARACTERS))
    except SignatureRefused as refused:
        reader.refuse(name, refused.detail)


def _head(certificate: InstallationCertificate | RelayCertificate) -> dict[str, Any]:
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": certificate.customer_id,
        "jti": certificate.certificate_id,
        "iat": seconds_of(certificate.issued_at),
        "exp": seconds_of(certificate.expires_at),
        "status_index": certificate.status_index,
    }


def _read_head(reader: ClaimReader) -> dict[str, Any]:
    reader.constant("iss", ISSUER)
    reader.constant("aud", AUDIENCE)
    head: dict[str, Any] = {
        "customer_id": reader.identifier("sub"),
        "certificate_id": reader.identifier("jti"),
        "issued_at": reader.time("iat"),
        "expires_at": reader.time("exp"),
        "status_index": reader.integer("status_index", lowest=0, highest=STATUS_INDEX_MAX),
        "key": read_key(reader, "key"),
    }
    if head["expires_at"] <= head["issued_at"]:
        reader.refuse("exp", "is not after iat")
    return head


def _read_pool(reader: ClaimReader) -> Pool:
    pool = Pool(license_id=reader.identifier("license_id"), seats=reader.integer("seats", lowest=1, highest=SEATS_MAX))
    reader.done()
    return pool
