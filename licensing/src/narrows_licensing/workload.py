"""
Tokens that a cluster gives its programs: OpenID Connect as Kubernetes projects it into a pod, verified offline.

A license names the issuer and carries its public keys, so nothing is fetched. This is a second, smaller verifier
beside `signature`, because these tokens are written by others: RS256 and ES256, chosen by the kind of key that the
license holds and never by the token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from narrows_licensing.claims import ClaimReader
from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import decode_base64url

TOKEN_BYTES_MAX: Final = 16 * 1024
KEY_COUNT_MAX: Final = 4
URL_CHARACTERS_MAX: Final = 256
RSA_BITS_MIN, RSA_BITS_MAX = 2048, 4096
RSA_EXPONENT: Final = 65537
LEEWAY: Final = timedelta(seconds=60)  # Of clocks on two machines of one cluster.

_TEXT = re.compile(r"[A-Za-z0-9_-]{1,683}")
_KEY_ID = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A program of a cluster, as its token names it."""

    issuer: str
    subject: str  # Such as ``system:serviceaccount:media:encoder``.
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who gives workloads their tokens: the URL in them, for whom they must be meant, and the keys (RFC 7517)."""

    url: str
    audience: str
    keys: tuple[Mapping[str, str], ...]  # Public keys: ``kty``, ``kid`` and ``n e`` or ``crv x y``, checked.

    def claims(self) -> dict[str, Any]:
        return {"issuer": self.url, "audience": self.audience, "keys": [dict(key) for key in self.keys]}

    @classmethod
    def read(cls, reader: ClaimReader) -> Issuer:
        """Read what `claims` wrote; faults are raised as the reader's error."""
        url = reader.text("issuer", characters_max=URL_CHARACTERS_MAX)
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None:
            reader.refuse("issuer", "is not an https URL")
        audience = reader.text("audience", characters_max=URL_CHARACTERS_MAX)
        count = len(reader.items("keys", count_max=KEY_COUNT_MAX))
        readers = [reader.member("keys", index) for index in range(count)]
        keys = tuple(_read_key(key) for key in readers)
        if not keys or len({key["kid"] for key in keys}) != len(keys):
            reader.refuse("keys", "is empty or names a key twice")
        return cls(url=url, audience=audience, keys=keys)


def verify_workload(token: str, issuer: Issuer, *, at: datetime) -> Workload:
    """
    Return who holds *token*, if *issuer* signed it and it is good *at* this time.

    Raises `SignatureRefused` for every fault. The token's own words stay out of the message.
    """
    if len(token) > TOKEN_BYTES_MAX:
        raise SignatureRefused(f"the workload token has more than {TOKEN_BYTES_MAX} bytes")
    parts = token.strip().split(".")
    if len(parts) != 3:
        raise SignatureRefused("the workload token does not have three parts separated by dots")
    header = _object(parts[0], "the header of the workload token")
    key = next((key for key in issuer.keys if key["kid"] == header.get("kid")), None)
    if key is None:
        raise SignatureRefused("the workload token is signed by a key that the license does not know")
    algorithm = "RS256" if key["kty"] == "RSA" else "ES256"
    if header.get("alg") != algorithm or header.keys() - {"alg", "kid", "typ"}:
        raise SignatureRefused(f"the workload token is not signed as its key must sign, with {algorithm}")
    signature = decode_base64url(parts[2], "the signature of the workload token")
    _check_signature(key, signature, f"{parts[0]}.{parts[1]}".encode("ascii", "replace"))
    return _read_claims(_object(parts[1], "the workload token"), issuer, at)


def _read_claims(claims: Mapping[str, Any], issuer: Issuer, at: datetime) -> Workload:
    if claims.get("iss") != issuer.url:
        raise SignatureRefused("the workload token is from another issuer")
    audience = claims.get("aud")
    if issuer.audience not in (audience if isinstance(audience, list) else [audience]):
        raise SignatureRefused(f"the workload token is not meant for {issuer.audience}")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= 253 or not subject.isprintable():
        raise SignatureRefused("the workload token names nobody")
    expires_at, not_before = _time(claims, "exp"), _time(claims, "nbf" if "nbf" in claims else "iat")
    if not not_before - LEEWAY <= at < expires_at + LEEWAY:
        raise SignatureRefused(f"the workload token is good from {not_before:%H:%M:%S} to {expires_at:%H:%M:%S} UTC")
    return Workload(issuer=issuer.url, subject=subject, expires_at=expires_at)


def _time(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**33:
        raise SignatureRefused(f"the workload token's {name} is not a time")
    return datetime.fromtimestamp(value, tz=UTC)


def _object(text: str, what: str) -> dict[str, Any]:
    """Return the JSON object in *text*. A cluster's claims may hold anything, but no member twice."""
    try:
        value = json.loads(decode_base64url(text, what), object_pairs_hook=_members)
    except (ValueError, RecursionError):
        raise SignatureRefused(f"{what} is not a JSON object") from None
    if not isinstance(value, dict):
        raise SignatureRefused(f"{what} is not a JSON object")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _read_key(reader: ClaimReader) -> Mapping[str, str]:
    kty = reader.text("kty", characters_max=3)
    key = {"kty": kty, "kid": reader.pattern("kid", _KEY_ID, "a key id of 1..128 characters")}
    if kty == "RSA":
        key |= {name: reader.pattern(name, _TEXT, "base64url") for name in ("n", "e")}
    elif kty == "EC":
        reader.constant("crv", "P-256")
        key |= {"crv": "P-256", **{name: reader.pattern(name, _TEXT, "base64url") for name in ("x", "y")}}
    else:
        reader.refuse("kty", "is neither RSA nor EC")
    reader.done()
    try:
        _public_key(key)
    except (ValueError, SignatureRefused):
        reader.refuse("kty", f"is not a usable key: RSA of {RSA_BITS_MIN}..{RSA_BITS_MAX} bits, or P-256")
    return key


def _number(text: str) -> int:
    return int.from_bytes(decode_base64url(text, "a number of the key"), "big")


def _public_key(key: Mapping[str, str]) -> Any:
    # Loaded only where a license is bound to a workload: the others stay quick to import.
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if key["kty"] == "EC":
        return ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), ec.SECP256R1()).public_key()
    modulus, exponent = _number(key["n"]), _number(key["e"])
    if not RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX or exponent != RSA_EXPONENT:
        raise ValueError("not an RSA key of a usual size")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _check_signature(key: Mapping[str, str], signature: bytes, signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    public_key = _public_key(key)
    try:
        if key["kty"] == "RSA":
            public_key.verify(signature, signed, padding.PKCS1v15(), SHA256())
            return
        if len(signature) != 64:
            raise InvalidSignature
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        public_key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
    except InvalidSignature as error:
        raise SignatureRefused("the signature of the workload token does not belong to it") from error
