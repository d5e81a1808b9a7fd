"""
What an installation asks its vendor for, as a file or a QR code: to be enrolled, or to get its license anew.

The request is signed with the installation's own key, which proves only that whoever asks holds that key. Whether it
gets what it asks for is a person's decision at the vendor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from narrows_licensing.binding import Components, read_binding
from narrows_licensing.certificate import read_key
from narrows_licensing.claims import ClaimReader, seconds_of
from narrows_licensing.errors import DocumentUnreadable, SignatureRefused
from narrows_licensing.signature import (
    TOKEN_BYTES_MAX,
    Typ,
    decode_base64url,
    public_key_to_text,
    sign,
    thumbprint,
    verify,
)
from narrows_licensing.strict_json import JsonRefused, read_object
from narrows_licensing.trust import AUDIENCE, BUNDLE_VERSION_MAX

VERSION_CHARACTERS_MAX: Final = 64
_NONCE = re.compile(r"[A-Za-z0-9_-]{22}")


class Purpose(StrEnum):
    """What a request is for."""

    ENROL = "enrol"  # A certificate for this installation.
    RENEW = "renew"  # The license again, for longer or for this machine.
    RELAY = "relay"  # A certificate for a relay.


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked, by whom."""

    purpose: Purpose
    key: Ed25519PublicKey  # Of the installation that asks.
    license_id: str | None  # The license that it has.
    machine: Components | None  # Hashed facts about the machine, for a license bound to them.
    sdk_version: str
    bundle_version: int  # The newest trust bundle known there; 0 if none.
    asked_at: datetime  # By the clock there; aware.
    nonce: str  # 22 characters at random: two requests are never the same.

    @property
    def installation_id(self) -> str:
        """Who asks: the thumbprint of its key."""
        return thumbprint(self.key)

    def sign(self, key: Ed25519PrivateKey) -> str:
        """Sign it with the installation's key. Raises `DocumentUnreadable` if `read_request` would."""
        token = sign(self._claims(), typ=Typ.REQUEST, key=key)
        read_request(token)
        return token

    def _claims(self) -> dict[str, Any]:
        return {
            "aud": AUDIENCE,
            "purpose": self.purpose.value,
            "key": public_key_to_text(self.key),
            "license_id": self.license_id,
            "machine": self.machine.claims() if self.machine else None,
            "sdk": self.sdk_version,
            "bundle": self.bundle_version,
            "iat": seconds_of(self.asked_at),
            "nonce": self.nonce,
        }


def read_request(token: str) -> Request:
    """
    Read a request that the key inside it signed.

    Raises `SignatureRefused` for the signature, `DocumentUnreadable` for the contents.
    """
    request = _read(unverified_claims(token))
    verify(token, typ=Typ.REQUEST, keys={request.installation_id: request.key})
    return request


def unverified_claims(token: str, *, size_max: int = TOKEN_BYTES_MAX) -> Mapping[str, Any]:
    """
    The claims of a request of at most *size_max* bytes, only to find the key that must have signed it.

    The same bytes are read again by `verify`, which answers for them. Raises `SignatureRefused`.
    """
    parts = token.split(".")
    if len(token) > size_max or len(parts) != 3:
        raise SignatureRefused(f"a request has three parts and up to {size_max} bytes")
    try:
        return read_object(decode_base64url(parts[1], "the payload"))
    except JsonRefused as error:
        raise SignatureRefused(f"the request is refused: {error}") from error


def _read(claims: Mapping[str, Any]) -> Request:
    reader = ClaimReader(dict(claims), error=DocumentUnreadable)
    reader.constant("aud", AUDIENCE)
    machine = reader.object("machine") if reader.object_or_none("machine") is not None else None
    request = Request(
        purpose=reader.choice("purpose", Purpose),
        key=read_key(reader, "key"),
        license_id=reader.identifier_or_none("license_id"),
        machine=None if machine is None else _machine(machine),
        sdk_version=reader.text("sdk", characters_max=VERSION_CHARACTERS_MAX),
        bundle_version=reader.integer("bundle", lowest=0, highest=BUNDLE_VERSION_MAX),
        asked_at=reader.time("iat"),
        nonce=reader.pattern("nonce", _NONCE, "22 characters of base64url"),
    )
    reader.done()
    return request


def _machine(reader: ClaimReader) -> Components:
    machine = read_binding(reader)
    if not isinstance(machine, Components):
        reader.refuse("kind", "is not 'components'")
    return machine
