"""
Signed tokens: JSON Web Signatures, strictly, with Ed25519 and nothing else.

The subset is small on purpose: the algorithm is fixed here and never taken from a header; a header has exactly the
three members that are written here; every byte string has exactly one spelling. Keys come from the caller, never
from the token. What the claims mean, and who may sign them, is decided elsewhere (`license`, `trust`).

RFC 7515 (JWS), RFC 8037 and RFC 9864 (Ed25519), RFC 7638 (thumbprints), RFC 8725 (`typ`).
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from narrows_licensing.errors import SignatureRefused, UnknownKey
from narrows_licensing.strict_json import JsonRefused, read_object, write_object

ALGORITHM: Final = "Ed25519"
TOKEN_BYTES_MAX: Final = 8192
HEADER_CHARACTERS_MAX: Final = 512  # Ours have about 150; nothing unsigned is parsed beyond this.
SIGNATURE_BYTES: Final = 64
PUBLIC_KEY_CHARACTERS: Final = 43  # 32 bytes in base64url.
THUMBPRINT_CHARACTERS: Final = 43

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_FIELD_PRIME: Final = 2**255 - 19
# The y coordinates of the eight points of small order. Such a "key" accepts signatures that nobody made.
_ORDER_EIGHT_Y: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y: Final = frozenset({0, 1, _FIELD_PRIME - 1, _ORDER_EIGHT_Y, _FIELD_PRIME - _ORDER_EIGHT_Y})


class Typ(StrEnum):
    """What a signature is about. Part of what is signed, so that no document can stand in for another."""

    LICENSE = "narrows-license+jwt"
    BUNDLE = "narrows-bundle+jwt"
    RECEIPT = "narrows-receipt+jwt"
    REPORT = "narrows-report+jwt"
    REVOCATIONS = "narrows-revocations+jwt"
    STATEMENT = "narrows-statement+jwt"
    TREE_HEAD = "narrows-tree-head+jwt"
    INSTALLATION = "narrows-installation+jwt"
    REQUEST = "narrows-request+jwt"
    RELAY = "narrows-relay+jwt"
    LEASE = "narrows-lease+jwt"
    LICENSE_LOG = "narrows-license-log+jwt"
    LEASE_REQUEST = "narrows-lease-request+jwt"
    BENCH = "narrows-bench+jwt"


class SigningKey(Protocol):
    """An Ed25519 key that can sign: one of `cryptography`, or whatever stands for one that is kept elsewhere."""

    def public_key(self) -> Ed25519PublicKey: ...

    def sign(self, data: bytes, /) -> bytes: ...


def sign(claims: Mapping[str, object], *, typ: Typ, key: SigningKey) -> str:
    """
    Sign *claims* and return the token in compact serialisation (RFC 7515 §7.1).

    The same claims and key always give the same token. Raises ValueError if the claims are not what `verify` returns:
    JSON of strings, integers up to 2^53 - 1, booleans, nulls, lists and dicts.
    """
    signing_input = f"{_protected_header(typ, key)}.{encode_base64url(write_object(claims).encode())}"
    return f"{signing_input}.{encode_base64url(key.sign(signing_input.encode()))}"


def verify(
    token: str, *, typ: Typ, keys: Mapping[str, Ed25519PublicKey], size_max: int = TOKEN_BYTES_MAX
) -> dict[str, Any]:
    """
    Return the claims of *token* if one of *keys* (by thumbprint) signed it as *typ*.

    *size_max* is in bytes. The claims are parsed only after the signature has been found good; times and audience are
    the caller's to check. Raises `UnknownKey` if another key signed, `SignatureRefused` for every other fault.
    """
    if len(token) > size_max:
        raise SignatureRefused(f"the token has more than {size_max} bytes")
    parts = token.split(".")
    if len(parts) != 3:
        raise SignatureRefused("a token has three parts separated by dots")
    header, payload, signature = parts
    claims = decode_base64url(payload, "the payload")
    _check_signature(header, payload, signature, typ=typ, keys=keys)
    try:
        return read_object(claims)
    except JsonRefused as error:
        raise SignatureRefused(f"the claims are refused: {error}") from error


def sign_detached(body: bytes, *, typ: Typ, key: SigningKey) -> str:
    """Sign *body*, which travels beside the signature (RFC 7515 appendix F); returns ``header..signature``."""
    header = _protected_header(typ, key)
    return f"{header}..{encode_base64url(key.sign(f'{header}.{encode_base64url(body)}'.encode()))}"


def verify_detached(signature: str, body: bytes, *, typ: Typ, keys: Mapping[str, Ed25519PublicKey]) -> str:
    """
    Return the thumbprint of the one of *keys* that signed *body* as *typ*.

    Raises `UnknownKey` if another key signed, `SignatureRefused` for every other fault. The caller limits the body.
    """
    if len(signature) > TOKEN_BYTES_MAX:
        raise SignatureRefused(f"the signature has more than {TOKEN_BYTES_MAX} bytes")
    parts = signature.split(".")
    if len(parts) != 3 or parts[1]:
        raise SignatureRefused("a detached signature has the form header..signature")
    return _check_signature(parts[0], encode_base64url(body), parts[2], typ=typ, keys=keys)


def thumbprint(key: Ed25519PublicKey) -> str:
    """Return the name of *key*: the SHA-256 of its canonical JWK (RFC 7638, RFC 8037 appendix A.3), in base64url."""
    jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{public_key_to_text(key)}"}}'
    return encode_base64url(hashlib.sha256(jwk.encode()).digest())


def public_key_to_text(key: Ed25519PublicKey) -> str:
    """Return the 32 bytes of *key* in base64url: 43 characters, the `x` of its JWK."""
    return encode_base64url(key.public_bytes_raw())


def public_key_from_text(text: str) -> Ed25519PublicKey:
    """
    Read what `public_key_to_text` wrote.

    Raises `SignatureRefused` unless it is the one spelling of a usable key: points of small order and coordinates
    outside the field are refused, because signatures under them prove nothing.
    """
    if len(text) != PUBLIC_KEY_CHARACTERS:
        raise SignatureRefused(f"a public key has {PUBLIC_KEY_CHARACTERS} characters")
    raw = decode_base64url(text, "the public key")
    y = int.from_bytes(raw, "little") & (2**255 - 1)  # The top bit is the sign of x.
    if y >= _FIELD_PRIME or y in _SMALL_ORDER_Y:
        raise SignatureRefused("the public key is not a usable Ed25519 key")
    return Ed25519PublicKey.from_public_bytes(raw)


def encode_base64url(raw: bytes) -> str:
    """Write base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decode_base64url(text: str, what: str) -> bytes:
    """
    Read base64url; of the several spellings that decoders accept, only the one that `encode_base64url` writes.

    Raises `SignatureRefused`, calling the text *what*.
    """
    if not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise SignatureRefused(f"{what} is not base64url without padding")
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode_base64url(raw) != text:
        raise SignatureRefused(f"{what} is not in the canonical spelling of base64url")
    return raw


def _protected_header(typ: Typ, key: SigningKey) -> str:
    header = {"alg": ALGORITHM, "kid": thumbprint(key.public_key()), "typ": typ.value}
    return encode_base64url(write_object(header).encode())


def _check_signature(
    header: str, payload: str, signature: str, *, typ: Typ, keys: Mapping[str, Ed25519PublicKey]
) -> str:
    kid = _signer(header, typ)
    raw = decode_base64url(signature, "the signature")
    if len(raw) != SIGNATURE_BYTES:
        raise SignatureRefused(f"the signature has {len(raw)} bytes instead of {SIGNATURE_BYTES}")
    if kid not in keys:
        raise UnknownKey(kid)
    try:
        keys[kid].verify(raw, f"{header}.{payload}".encode("ascii"))
    except InvalidSignature as error:
        raise SignatureRefused("the signature does not belong to these contents") from error
    return kid


def _signer(header: str, typ: Typ) -> str:
    """Return the `kid` of a protected *header* that is exactly as `sign` writes it, apart from the order of members."""
    if len(header) > HEADER_CHARACTERS_MAX:
        raise SignatureRefused(f"the header has more than {HEADER_CHARACTERS_MAX} characters")
    try:
        members = read_object(decode_base64url(header, "the header"))
    except JsonRefused as error:
        raise SignatureRefused(f"the header is refused: {error}") from error
    # Neither `crit`, `b64`, `jwk`, `jku`, `x5c` nor `x5u` is understood here, and what is not understood is refused.
    if members.keys() != {"alg", "kid", "typ"}:
        raise SignatureRefused("the header must have the members alg, kid and typ and no others")
    if members["alg"] != ALGORITHM:
        raise SignatureRefused(f"the algorithm must be {ALGORITHM}")
    if members["typ"] != typ.value:
        raise SignatureRefused(f"the type must be {typ.value}")
    kid = members["kid"]
    if not isinstance(kid, str) or not _THUMBPRINT.fullmatch(kid):
        raise SignatureRefused("the key id must be a thumbprint of 43 characters")
    return kid
