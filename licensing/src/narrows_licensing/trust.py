"""
Which keys the vendor signs with today, and how a program that knows only the root keys learns it.

A program embeds the roots and nothing else. The roots sign a trust bundle: the vendor's other keys, each with one
role and a period. A role is a promise about use: a key for receipts can never sign a license. New keys therefore
reach a site without a network inside its next license file, and no new release is needed.

A bundle is a JWS in general JSON serialisation (RFC 7515 §7.2.1) with one signature per root. Root private keys
belong on a machine that is offline; nothing in here stores one. Beside them there may be one root for ML-DSA-65: who
knows it requires its signature on every bundle, and a bundle that declares it is refused by those who don't.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from narrows_licensing import post_quantum
from narrows_licensing.claims import ClaimReader, seconds_of
from narrows_licensing.errors import DocumentUnreadable, SignatureRefused, TooFewRoots, UnknownKey
from narrows_licensing.signature import (
    PUBLIC_KEY_CHARACTERS,
    THUMBPRINT_CHARACTERS,
    TOKEN_BYTES_MAX,
    Typ,
    decode_base64url,
    encode_base64url,
    public_key_from_text,
    public_key_to_text,
    sign_detached,
    thumbprint,
    verify_detached,
)
from narrows_licensing.strict_json import JsonRefused, read_object, write_object

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

ROOTS_FORMAT: Final = "narrows-roots/1"
ROOTS_BYTES_MAX: Final = 8192
ROOT_COUNT_MAX: Final = 8
BUNDLE_BYTES_MAX: Final = 64 * 1024  # Of the payload in base64url; a key takes about 150 of them.
BUNDLE_KEY_COUNT_MAX: Final = 256
BUNDLE_VERSION_MAX: Final = 2**31 - 1
ISSUER: Final = "narrows"
AUDIENCE: Final = "narrows"


class Role(StrEnum):
    """The one thing that a vendor key may sign."""

    LICENSE = "license"
    RECEIPT = "receipt"
    REVOCATION = "revocation"
    LEASE = "lease"  # Leases, and the certificates of relays.
    INSTALLATION = "installation"  # Certificates of installations.


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """
    A vendor key, its role, and the period in which its signatures are believed.

    The period is about reading, not signing: a license key must be trusted until the last license under it has ended.
    """

    kid: str  # RFC 7638 thumbprint of `public_key`.
    role: Role
    public_key: Ed25519PublicKey
    not_before: datetime  # Aware, UTC.
    not_after: datetime  # From this moment on the key is not trusted.

    def __post_init__(self) -> None:
        if self.kid != thumbprint(self.public_key):
            raise ValueError("the key id is not the thumbprint of the key")

    def is_trusted(self, at: datetime) -> bool:
        """Say whether signatures of this key are believed *at* this time."""
        return self.not_before <= at < self.not_after


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustBundle:
    """The vendor's keys as the roots vouch for them. A higher version replaces every lower one."""

    version: int
    issued_at: datetime  # Aware, UTC.
    expires_at: datetime  # From this moment on no key of the bundle is trusted.
    keys: tuple[TrustedKey, ...]
    post_quantum: str | None = None  # The name of the ML-DSA-65 root that must have signed as well.

    def keys_for(self, role: Role, at: datetime) -> dict[str, Ed25519PublicKey]:
        """Return the keys with *role* that are trusted *at* this time, by thumbprint: what `verify` takes."""
        if at >= self.expires_at:
            return {}
        return {key.kid: key.public_key for key in self.keys if key.role is role and key.is_trusted(at)}

    def claims(self) -> dict[str, Any]:
        """Return what the roots sign. Times lose their fractions of a second."""
        return {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "version": self.version,
            "iat": seconds_of(self.issued_at),
            "exp": seconds_of(self.expires_at),
            "post_quantum": self.post_quantum,
            "keys": [
                {
                    "role": key.role.value,
                    "key": public_key_to_text(key.public_key),
                    "nbf": seconds_of(key.not_before),
                    "exp": seconds_of(key.not_after),
                }
                for key in self.keys
            ],
        }

    @classmethod
    def from_claims(cls, claims: dict[str, Any]) -> TrustBundle:
        """Read what `claims` wrote. Raises `DocumentUnreadable`, naming the member."""
        reader = ClaimReader(claims, error=DocumentUnreadable)
        reader.constant("iss", ISSUER)
        reader.constant("aud", AUDIENCE)
        bundle = cls(
            version=reader.integer("version", lowest=1, highest=BUNDLE_VERSION_MAX),
            issued_at=reader.time("iat"),
            expires_at=reader.time("exp"),
            post_quantum=reader.text_or_none("post_quantum", characters_max=THUMBPRINT_CHARACTERS),
            keys=tuple(
                _trusted_key(item, path=f"keys[{index}]")
                for index, item in enumerate(reader.items("keys", count_max=BUNDLE_KEY_COUNT_MAX))
            ),
        )
        reader.done()
        if bundle.expires_at <= bundle.issued_at:
            reader.refuse("exp", "is not after iat")
        if len({key.kid for key in bundle.keys}) != len(bundle.keys):
            reader.refuse("keys", "names a key twice; a key has one role")
        return bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """The vendor's root keys by thumbprint, and how many of them must agree."""

    threshold: int
    keys: dict[str, Ed25519PublicKey]
    post_quantum: bytes | None = None  # The public ML-DSA-65 key that must sign every bundle as well.

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= len(self.keys) <= ROOT_COUNT_MAX:
            raise ValueError("the threshold must lie between 1 and the number of root keys")
        if any(kid != thumbprint(key) for kid, key in self.keys.items()):
            raise ValueError("a root key is filed under something other than its thumbprint")
        if self.post_quantum is not None and len(self.post_quantum) != post_quantum.PUBLIC_KEY_BYTES:
            raise ValueError(f"an ML-DSA-65 key has {post_quantum.PUBLIC_KEY_BYTES} bytes")

    @classmethod
    def of(cls, keys: Sequence[Ed25519PublicKey], *, threshold: int, post_quantum: bytes | None = None) -> Roots:
        """Return the roots for *keys*."""
        return cls(threshold=threshold, keys={thumbprint(key): key for key in keys}, post_quantum=post_quantum)

    def to_json(self) -> str:
        """Write the roots file. It is public."""
        keys = [public_key_to_text(key) for key in self.keys.values()]
        members: dict[str, object] = {"format": ROOTS_FORMAT, "threshold": self.threshold, "keys": keys}
        if self.post_quantum is not None:
            members["post_quantum"] = encode_base64url(self.post_quantum)
        return write_object(members, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Roots:
        """Read a roots file. Raises `DocumentUnreadable`; whoever can change this file decides what is trusted."""
        if len(text) > ROOTS_BYTES_MAX:
            raise DocumentUnreadable("document", f"has more than {ROOTS_BYTES_MAX} characters")
        try:
            reader = ClaimReader(read_object(text), error=DocumentUnreadable)
        except JsonRefused as error:
            raise DocumentUnreadable("document", str(error)) from error
        reader.constant("format", ROOTS_FORMAT)
        threshold = reader.integer("threshold", lowest=1, highest=ROOT_COUNT_MAX)
        keys = [_public_key(reader, "keys", item) for item in reader.items("keys", count_max=ROOT_COUNT_MAX)]
        second = _post_quantum_key(reader) if "post_quantum" in reader.names() else None
        reader.done()
        roots = {thumbprint(key): key for key in keys}
        if len(roots) != len(keys):
            reader.refuse("keys", "names a key twice")
        if threshold > len(roots):
            reader.refuse("threshold", "is more than the number of keys")
        return cls(threshold=threshold, keys=roots, post_quantum=second)


def sign_bundle(
    bundle: TrustBundle, root_keys: Sequence[Ed25519PrivateKey], post_quantum_key: MLDSA65PrivateKey | None = None
) -> dict[str, Any]:
    """
    Sign *bundle* with each of *root_keys*, and *post_quantum_key* if given; returns what `read_bundle` reads.

    Raises `DocumentUnreadable` if the bundle breaks a rule of the format: nothing is signed that can't be read.
    """
    claims = bundle.claims()
    TrustBundle.from_claims(claims)
    body = write_object(claims).encode()
    signatures = []
    for key in root_keys:
        header, _, signature = sign_detached(body, typ=Typ.BUNDLE, key=key).split(".")
        signatures.append({"protected": header, "signature": signature})
    document: dict[str, Any] = {"payload": encode_base64url(body), "signatures": signatures}
    if post_quantum_key is not None:
        document["post_quantum"] = post_quantum.sign(body, typ=Typ.BUNDLE, key=post_quantum_key)
    return document


def read_bundle(document: dict[str, Any], roots: Roots) -> TrustBundle:
    """
    Return the trust bundle in *document* if enough different roots signed it.

    Signatures of roots that are unknown here don't count and don't hurt: while a root is being replaced, the new one
    signs as well. A wrong signature in the name of a known root refuses the whole document. Whether the bundle has
    expired or is older than one seen before depends on the circumstances and is the caller's to decide.
    Raises `TooFewRoots` or another `SignatureRefused` for the signatures, `DocumentUnreadable` for the contents.
    """
    reader = ClaimReader(document, error=DocumentUnreadable)
    body = decode_base64url(reader.text("payload", characters_max=BUNDLE_BYTES_MAX), "the payload")
    entries = reader.items("signatures", count_max=ROOT_COUNT_MAX)
    second = reader.object("post_quantum") if "post_quantum" in reader.names() else None
    reader.done()
    signed: set[str] = set()
    for index, entry in enumerate(entries):
        parts = ClaimReader(entry, error=DocumentUnreadable, path=f"signatures[{index}]")
        header = parts.text("protected", characters_max=TOKEN_BYTES_MAX)
        signature = parts.text("signature", characters_max=TOKEN_BYTES_MAX)
        parts.done()
        try:
            kid = verify_detached(f"{header}..{signature}", body, typ=Typ.BUNDLE, keys=roots.keys)
        except UnknownKey:
            continue
        if kid in signed:
            parts.refuse("protected", "the same root signed twice")
        signed.add(kid)
    if len(signed) < roots.threshold:
        raise TooFewRoots(len(signed), roots.threshold)
    if roots.post_quantum is not None:
        _check_post_quantum(second, body, roots.post_quantum)
    try:
        bundle = TrustBundle.from_claims(read_object(body))
    except JsonRefused as error:
        raise DocumentUnreadable("payload", str(error)) from error
    known = None if roots.post_quantum is None else post_quantum.thumbprint(roots.post_quantum)
    if bundle.post_quantum is not None and bundle.post_quantum != known:
        raise SignatureRefused("the trust bundle asks for a post-quantum root that is not known here")
    return bundle


def _check_post_quantum(entry: ClaimReader | None, body: bytes, public_key: bytes) -> None:
    if entry is None:
        raise SignatureRefused("the trust bundle lacks the signature of the post-quantum root")
    header = entry.text("protected", characters_max=TOKEN_BYTES_MAX)
    signature = entry.text("signature", characters_max=TOKEN_BYTES_MAX)
    entry.done()
    post_quantum.verify(header, signature, body, typ=Typ.BUNDLE, public_key=public_key)


def _post_quantum_key(reader: ClaimReader) -> bytes:
    try:
        key = decode_base64url(reader.text("post_quantum", characters_max=4096), "the post-quantum key")
    except SignatureRefused as error:
        reader.refuse("post_quantum", error.detail)
    if len(key) != post_quantum.PUBLIC_KEY_BYTES:
        reader.refuse("post_quantum", f"is not a key of {post_quantum.PUBLIC_KEY_BYTES} bytes")
    return key


def _trusted_key(item: object, *, path: str) -> TrustedKey:
    reader = ClaimReader(item, error=DocumentUnreadable, path=path)
    public_key = _public_key(reader, "key", reader.text("key", characters_max=PUBLIC_KEY_CHARACTERS))
    key = TrustedKey(
        kid=thumbprint(public_key),
        role=reader.choice("role", Role),
        public_key=public_key,
        not_before=reader.time("nbf"),
        not_after=reader.time("exp"),
    )
    reader.done()
    if key.not_after <= key.not_before:
        reader.refuse("exp", "is not after nbf")
    return key


def _public_key(reader: ClaimReader, name: str, text: object) -> Ed25519PublicKey:
    try:
        return public_key_from_text(text if isinstance(text, str) else "")
    except SignatureRefused as error:
        reader.refuse(name, error.detail)
