"""
The revocation list: what the vendor has taken back or suspended, signed and versioned.

Every license and every certificate has a number, and the list is two bits for each number (a Token Status List of
the IETF's OAuth group: compressed, least significant bits first), so a million entries are small and a look-up is
one byte. It travels with license files, so it also reaches sites without a network; a higher version replaces every
lower one. A list can be left out or kept old by whoever holds the file, so it limits the damage of a leak and never
proves that a license is good; that an older one is not taken after a newer one is `memory`'s concern.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from narrows_licensing.claims import ClaimReader, seconds_of
from narrows_licensing.errors import DocumentUnreadable, SignatureRefused
from narrows_licensing.license import STATUS_INDEX_MAX
from narrows_licensing.signature import Typ, decode_base64url, encode_base64url, sign, verify
from narrows_licensing.trust import AUDIENCE, ISSUER

REVOCATIONS_BYTES_MAX: Final = 2 * 1024 * 1024
REVOCATIONS_VERSION_MAX: Final = 2**31 - 1
BITS: Final = 2
STATUSES_BYTES_MAX: Final = (STATUS_INDEX_MAX + 1) * BITS // 8  # 4 MiB, however small it comes compressed.


class Status(Enum):
    """How a license or a certificate stands. The values are those of the format."""

    GOOD = 0
    REVOKED = 1  # For ever.
    SUSPENDED = 2  # Until a later list says otherwise.


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """What is not good any more, as of `version`."""

    version: int
    issued_at: datetime  # Aware, UTC.
    statuses: bytes  # Two bits for each number, the lowest number in the lowest bits of the first byte.

    @classmethod
    def of(
        cls, *, version: int, issued_at: datetime, revoked: Collection[int] = (), suspended: Collection[int] = ()
    ) -> RevocationList:
        """Return the list on which the numbers *revoked* and *suspended* are; revoked wins."""
        highest = max((*revoked, *suspended), default=-1)
        if min((*revoked, *suspended), default=0) < 0 or highest > STATUS_INDEX_MAX:
            raise DocumentUnreadable("status_list", f"has a number outside 0..{STATUS_INDEX_MAX}")
        statuses = bytearray(highest // 4 + 1)
        for numbers, status in ((suspended, Status.SUSPENDED), (revoked, Status.REVOKED)):
            for number in numbers:
                place, shift = number // 4, number % 4 * BITS
                statuses[place] = statuses[place] & ~(3 << shift) | status.value << shift
        return cls(version=version, issued_at=issued_at, statuses=bytes(statuses))

    def status_of(self, number: int | None) -> Status:
        """Return how the license or certificate with this *number* stands; what has no number is good."""
        if number is None or not 0 <= number // 4 < len(self.statuses):
            return Status.GOOD
        value = self.statuses[number // 4] >> number % 4 * BITS & 3
        # The fourth value means nothing yet. What a vendor lists is not good, so it is taken for the milder of the two.
        return Status.SUSPENDED if value == 3 else Status(value)


def sign_revocations(revocations: RevocationList, *, key: Ed25519PrivateKey) -> str:
    """
    Sign *revocations* with a key of the revocation role.

    Raises `DocumentUnreadable` if it breaks a rule of the format or grows beyond its limits.
    """
    claims = revocation_claims(revocations)
    token = sign(claims, typ=Typ.REVOCATIONS, key=key)
    if len(token) > REVOCATIONS_BYTES_MAX:
        raise DocumentUnreadable("status_list", f"takes more than {REVOCATIONS_BYTES_MAX} bytes")
    return token


def revocation_claims(revocations: RevocationList) -> dict[str, object]:
    """Return what is signed. Raises `DocumentUnreadable` if it breaks a rule of the format."""
    compressed = zlib.compress(revocations.statuses, 9)
    claims: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": seconds_of(revocations.issued_at),
        "version": revocations.version,
        "status_list": {"bits": BITS, "lst": encode_base64url(compressed)},
    }
    _read(claims)
    return claims


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
    version = reader.integer("version", lowest=1, highest=REVOCATIONS_VERSION_MAX)
    issued_at = reader.time("iat")
    status_list = reader.object("status_list")
    status_list.integer("bits", lowest=BITS, highest=BITS)
    compressed = status_list.text("lst", characters_max=REVOCATIONS_BYTES_MAX)
    status_list.done()
    reader.done()
    return RevocationList(version=version, issued_at=issued_at, statuses=_decompress(compressed))


def _decompress(text: str) -> bytes:
    reader = zlib.decompressobj()
    try:
        # One byte more than is allowed, so that a bomb is noticed and not unpacked.
        statuses = reader.decompress(decode_base64url(text, "the list"), STATUSES_BYTES_MAX + 1)
    except (zlib.error, SignatureRefused) as error:
        raise DocumentUnreadable("status_list.lst", f"is not a compressed list: {error}") from error
    if len(statuses) > STATUSES_BYTES_MAX or not reader.eof or reader.unused_data:
        raise DocumentUnreadable("status_list.lst", f"is not one compressed list of up to {STATUSES_BYTES_MAX} bytes")
    return statuses
