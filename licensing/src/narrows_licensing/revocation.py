"""
The revocation list: the licenses that the vendor has taken back, signed and versioned.

It travels with license files, so it also reaches sites without a network; a higher version replaces every lower one.
A list can be left out or kept old by whoever holds the file, so it limits the damage of a leak and never proves
that a license is good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from narrows_licensing.claims import ClaimReader
from narrows_licensing.errors import DocumentUnreadable
from narrows_licensing.signature import Typ, sign, verify
from narrows_licensing.trust import AUDIENCE, ISSUER

REVOCATIONS_BYTES_MAX: Final = 2 * 1024 * 1024
REVOKED_COUNT_MAX: Final = 30_000  # About 1.6 MB of token when every id is a UUID.
REVOCATIONS_VERSION_MAX: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """The licenses taken back, as of `version`."""

    version: int
    license_ids: frozenset[str]


def sign_revocations(revocations: RevocationList, *, key: Ed25519PrivateKey) -> str:
    """
    Sign *revocations* with a key of the revocation role. The same list always gives the same token.

    Raises `DocumentUnreadable` if it breaks a rule of the format or grows beyond its limits.
    """
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "version": revocations.version,
        "revoked": sorted(revocations.license_ids),
    }
    _read(claims)
    token = sign(claims, typ=Typ.REVOCATIONS, key=key)
    if len(token) > REVOCATIONS_BYTES_MAX:
        raise DocumentUnreadable("revoked", f"takes more than {REVOCATIONS_BYTES_MAX} bytes")
    return token


def read_revocations(token: str, keys: Mapping[str, Ed25519PublicKey]) -> RevocationList:
    """
    Read a list that one of *keys* (those of the revocation role) signed.

    Raises `SignatureRefused` for the signature, `DocumentUnreadable` for the contents.
    """
    return _read(verify(token, typ=Typ.REVOCATIONS, keys=keys, size_max=REVOCATIONS_BYTES_MAX))


def _read(claims: dict[str, object]) -> RevocationList:
    reader = ClaimReader(claims, error=DocumentUnreadable)
    reader.constant("iss", ISSUER)
    reader.constant("aud", AUDIENCE)
    revocations = RevocationList(
        version=reader.integer("version", lowest=1, highest=REVOCATIONS_VERSION_MAX),
        license_ids=frozenset(reader.identifiers("revoked", count_max=REVOKED_COUNT_MAX)),
    )
    reader.done()
    return revocations
