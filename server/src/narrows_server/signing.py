"""
Tokens that the vendor signs: licenses, certificates, receipts and revocation lists.

Signed with joserfc, or by a device and then read with joserfc, and read back with the verifier that customers run
before anything leaves: two independent implementations have agreed on every token that is out there.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from narrows_licensing.errors import SignatureRefused
from narrows_licensing.revocation import REVOCATIONS_BYTES_MAX
from narrows_licensing.signature import (
    ALGORITHM,
    TOKEN_BYTES_MAX,
    Typ,
    encode_base64url,
    public_key_to_text,
    thumbprint,
    verify,
)
from rfc8785 import dumps as canonical_json

from narrows_server.signer import Signer


def sign_token(claims: Mapping[str, object], *, typ: Typ, key: Signer) -> str:
    """
    *claims* as a compact JWS (RFC 7515) with `alg` Ed25519 (RFC 9864) and `kid` the key's thumbprint.

    The same claims and key give the same token: the payload is canonical JSON and Ed25519 has no randomness.
    Raises `SignatureRefused` if the result is not what a customer would accept, for instance because it is too long.
    """
    public_key = key.public_key()
    kid = thumbprint(public_key)
    header = {"alg": ALGORITHM, "kid": kid, "typ": typ.value}
    payload = canonical_json(dict(claims))  # type: ignore[arg-type]
    if isinstance(key, Ed25519PrivateKey):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        token = jws.serialize_compact(header, payload, OKPKey.import_key(pem), algorithms=[ALGORITHM])
    else:
        token = _sign_with_device(header, payload, key)
    size_max = REVOCATIONS_BYTES_MAX if typ is Typ.REVOCATIONS else TOKEN_BYTES_MAX
    verify(token, typ=typ, keys={kid: public_key}, size_max=size_max)
    return token


def _sign_with_device(header: Mapping[str, str], payload: bytes, key: Signer) -> str:
    signing_input = f"{encode_base64url(canonical_json(dict(header)))}.{encode_base64url(payload)}"
    token = f"{signing_input}.{encode_base64url(key.sign(signing_input.encode()))}"
    public_key = public_key_to_text(key.public_key())
    registry = jws.JWSRegistry(algorithms=[ALGORITHM])
    registry.max_payload_length = REVOCATIONS_BYTES_MAX
    jwk = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": public_key})
    try:
        jws.deserialize_compact(token, jwk, algorithms=[ALGORITHM], registry=registry)
    except JoseError as error:
        raise SignatureRefused(f"the key's device signs what another implementation refuses: {error}") from error
    return token
