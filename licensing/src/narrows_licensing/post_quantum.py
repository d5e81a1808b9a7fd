"""
The optional second signature of the roots: ML-DSA-65 (FIPS 204), which a quantum computer does not forge.

Only trust bundles carry it, because they decide what everything else is worth and size does not matter there: a key
has 1,952 bytes and a signature 3,309. It comes on top of the Ed25519 signatures and never in their place. Needs
`cryptography` 50 or newer, which is looked for only where such a signature has to be made or checked.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import Typ, decode_base64url, encode_base64url
from narrows_licensing.strict_json import write_object

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

ALGORITHM: Final = "ML-DSA-65"
PUBLIC_KEY_BYTES: Final = 1952
SIGNATURE_BYTES: Final = 3309
SEED_BYTES: Final = 32


def is_available() -> bool:
    """Say whether this installation of `cryptography` knows ML-DSA-65."""
    try:
        import cryptography.hazmat.primitives.asymmetric.mldsa  # noqa: F401
    except ImportError:
        return False
    return True


def key_from_seed(seed: bytes) -> MLDSA65PrivateKey:
    """Return the private key that belongs to 32 random bytes. Raises `SignatureRefused` where it is not available."""
    _require_available()
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

    return MLDSA65PrivateKey.from_seed_bytes(seed)


def thumbprint(public_key: bytes) -> str:
    """Return the name of *public_key*: the SHA-256 of its canonical JWK of type AKP (RFC 7638), in base64url."""
    jwk = f'{{"alg":"{ALGORITHM}","kty":"AKP","pub":"{encode_base64url(public_key)}"}}'
    return encode_base64url(hashlib.sha256(jwk.encode()).digest())


def protected_header(public_key: bytes, typ: Typ) -> str:
    """Return the one header that a signature of *public_key* may have."""
    header = {"alg": ALGORITHM, "kid": thumbprint(public_key), "typ": typ.value}
    return encode_base64url(write_object(header).encode())


def sign(body: bytes, *, typ: Typ, key: MLDSA65PrivateKey) -> dict[str, str]:
    """Sign *body* as one signature of a JWS in general JSON serialisation."""
    header = protected_header(key.public_key().public_bytes_raw(), typ)
    return {"protected": header, "signature": encode_base64url(key.sign(f"{header}.{encode_base64url(body)}".encode()))}


def verify(header: str, signature: str, body: bytes, *, typ: Typ, public_key: bytes) -> None:
    """Raise `SignatureRefused` unless *public_key* signed *body* as *typ*."""
    if header != protected_header(public_key, typ):
        raise SignatureRefused("the post-quantum signature is not of the root's post-quantum key")
    raw = decode_base64url(signature, "the post-quantum signature")
    if len(raw) != SIGNATURE_BYTES:
        raise SignatureRefused(f"the post-quantum signature has {len(raw)} bytes instead of {SIGNATURE_BYTES}")
    _require_available()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

    try:
        MLDSA65PublicKey.from_public_bytes(public_key).verify(raw, f"{header}.{encode_base64url(body)}".encode())
    except InvalidSignature as error:
        raise SignatureRefused("the post-quantum signature does not belong to these contents") from error


def _require_available() -> None:
    if not is_available():
        raise SignatureRefused("the roots sign with ML-DSA-65 as well, which needs cryptography 50 or newer")
