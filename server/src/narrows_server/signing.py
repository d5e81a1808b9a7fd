"""
Tokens that the vendor signs: licenses, receipts and revocation lists.

Signed with joserfc and read back with the verifier that customers run, before anything leaves: two independent
implementations have agreed on every token that is out there.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.jwk import OKPKey
from narrows_licensing.signature import Typ, thumbprint, verify
from rfc8785 import dumps as canonical_json


def sign_token(claims: Mapping[str, object], *, typ: Typ, key: Ed25519PrivateKey) -> str:
    """
    *claims* as a compact JWS (RFC 7515) with `alg` Ed25519 (RFC 9864) and `kid` the key's thumbprint.

    The same claims and key give the same token: the payload is canonical JSON and Ed25519 has no randomness.
    Raises `SignatureRefused` if the result is not what a customer would accept, for instance because it is too long.
    """
    public_key = key.public_key()
    kid = thumbprint(public_key)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    header = {"alg": "Ed25519", "kid": kid, "typ": typ.value}
    token = jws.serialize_compact(header, canonical_json(dict(claims)), OKPKey.import_key(pem), algorithms=["Ed25519"])  # type: ignore[arg-type]
    verify(token, typ=typ, keys={kid: public_key})
    return token
