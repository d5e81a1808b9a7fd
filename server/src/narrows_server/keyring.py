"""
The vendor's keys: made once by `init`, opened by the running server.

Three root keys sign the trust bundle, two of which are enough; the bundle names the keys for each role. A role's key
is `ROLE.pem`, or `ROLE.signer` with the place where it is (see `signer`). The server never opens a root key:
`open_keyring` works without the folder that they are in. New keys and bundles are `rotation`'s concern.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from narrows_licensing import post_quantum
from narrows_licensing.errors import LicensingError
from narrows_licensing.signature import public_key_from_text, thumbprint
from narrows_licensing.trust import Role, Roots, TrustBundle, TrustedKey, read_bundle, sign_bundle

from narrows_server.errors import NotInitialised
from narrows_server.settings import Settings
from narrows_server.signer import Signer, open_key_file, open_signer, read_passphrase

ROOT_KEYS = 3
ROOT_THRESHOLD = 2
SIGNING_ROLES = (Role.LICENSE, Role.RECEIPT, Role.REVOCATION, Role.LEASE, Role.INSTALLATION)
BUNDLE_LIFETIME = timedelta(days=5 * 365)
CONSOLE_SECRET_BYTES = 32
_CONSOLE_SECRET = "console.secret"  # noqa: S105 - a file name


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """What a running server signs with, and the bundle that makes others believe it."""

    license: Signer = field(repr=False)
    receipt: Signer = field(repr=False)
    revocation: Signer = field(repr=False)
    lease: Signer = field(repr=False)
    installation: Signer = field(repr=False)
    console_secret: bytes = field(repr=False)
    bundle: TrustBundle
    bundle_document: Mapping[str, Any] = field(repr=False)
    roots: Roots
    earlier_license_keys: Mapping[str, Ed25519PublicKey] = field(default_factory=dict, repr=False)

    def license_keys(self) -> dict[str, Ed25519PublicKey]:
        """The keys whose licenses are believed, by thumbprint, ended or not: usage under an old license is usage."""
        return {key.kid: key.public_key for key in self.bundle.keys if key.role is Role.LICENSE}

    def own_license_keys(self) -> dict[str, Ed25519PublicKey]:
        """The same and those withdrawn since, to read licenses in our own database."""
        return {**self.earlier_license_keys, **self.license_keys()}


def make_keys(settings: Settings, *, at: datetime) -> bool:
    """
    Make whatever keys are missing in the state folder, then the bundle and the roots file; True if anything was made.

    Interrupted, it is simply run again. Once the bundle exists it makes nothing, so root keys that were moved
    to an offline machine stay gone.
    """
    if settings.trust_bundle.exists() and settings.roots.exists():
        return False
    for folder in (settings.home, settings.keys, settings.root_keys):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    role_keys = {role: _make_key(settings, settings.keys / f"{role.value}.pem") for role in SIGNING_ROLES}
    secret = settings.keys / _CONSOLE_SECRET
    if not secret.exists():
        write_private(secret, secrets.token_bytes(CONSOLE_SECRET_BYTES))

    if settings.roots.exists() and not any(settings.root_keys.iterdir()):
        # The roots were made on an offline machine: all that can be done here is to draft what they are to sign.
        roots = Roots.from_json(settings.roots.read_text())
        draft = sign_bundle(_first_bundle(role_keys, roots, at), [])
        replace_file(settings.bundle_draft, json.dumps(draft, indent=2).encode(), mode=0o644)
        return True
    root_keys = [_make_key(settings, settings.root_keys / f"root-{number}.pem") for number in range(1, ROOT_KEYS + 1)]
    public_keys = [key.public_key() for key in root_keys]
    roots = Roots(threshold=ROOT_THRESHOLD, keys={thumbprint(key): key for key in public_keys})
    document = sign_bundle(_first_bundle(role_keys, roots, at), root_keys[:ROOT_THRESHOLD])
    read_bundle(document, roots)  # What customers will do with it; a bundle that they refuse is never written.
    replace_file(settings.roots, roots.to_json().encode(), mode=0o644)
    replace_file(settings.trust_bundle, json.dumps(document, indent=2).encode(), mode=0o644)
    return True


def _first_bundle(role_keys: Mapping[Role, Ed25519PrivateKey], roots: Roots, at: datetime) -> TrustBundle:
    issued_at = at.replace(microsecond=0)
    return TrustBundle(
        version=1,
        issued_at=issued_at,
        expires_at=issued_at + BUNDLE_LIFETIME,
        post_quantum=None if roots.post_quantum is None else post_quantum.thumbprint(roots.post_quantum),
        keys=tuple(
            TrustedKey(
                kid=thumbprint(key.public_key()),
                role=role,
                public_key=key.public_key(),
                not_before=issued_at,
                not_after=issued_at + BUNDLE_LIFETIME,
            )
            for role, key in role_keys.items()
        ),
    )


def open_keyring(settings: Settings) -> Keyring:
    """
    The keys of an initialised state folder.

    Raises `NotInitialised` naming the file that is missing or that does not fit the others.
    """
    if settings.bundle_draft.exists() and not settings.trust_bundle.exists():
        raise NotInitialised(
            f"the roots have to sign {settings.bundle_draft} first (narrows-server keys bundle), "
            "then run: narrows-server keys install"
        )
    document = json.loads(_read(settings.trust_bundle))
    try:
        roots = Roots.from_json(_read(settings.roots).decode())
        bundle = read_bundle(document, roots)
    except LicensingError as error:
        raise NotInitialised(f"{settings.trust_bundle} is not signed by {settings.roots}: {error}") from error
    keys = {role: _open_role(settings, role) for role in SIGNING_ROLES}
    for role, key in keys.items():
        known = {trusted.kid for trusted in bundle.keys if trusted.role is role}
        if thumbprint(key.public_key()) not in known:
            raise NotInitialised(f"the {role.value} key in {settings.keys} is not in {settings.trust_bundle}")
    return Keyring(
        license=keys[Role.LICENSE],
        receipt=keys[Role.RECEIPT],
        revocation=keys[Role.REVOCATION],
        lease=keys[Role.LEASE],
        installation=keys[Role.INSTALLATION],
        console_secret=_read(settings.keys / _CONSOLE_SECRET),
        bundle=bundle,
        bundle_document=document,
        roots=roots,
        earlier_license_keys=read_earlier_keys(settings),
    )


def read_earlier_keys(settings: Settings) -> dict[str, Ed25519PublicKey]:
    """The license keys that were withdrawn or have ended. Raises `NotInitialised` if their file is damaged."""
    if not settings.earlier_keys.exists():
        return {}
    try:
        keys = [public_key_from_text(text) for text in json.loads(_read(settings.earlier_keys))]
    except (ValueError, TypeError, LicensingError) as error:
        raise NotInitialised(f"{settings.earlier_keys} is damaged: {error}") from error
    return {thumbprint(key): key for key in keys}


def write_private(path: Path, content: bytes) -> None:
    """Write *content* durably to *path*, readable by its owner alone from the first moment."""
    replace_file(path, content, mode=0o600)


def key_to_pem(key: Ed25519PrivateKey, passphrase: bytes | None) -> bytes:
    """The file of a private key (PKCS #8), encrypted if there is a passphrase."""
    encryption: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _make_key(settings: Settings, path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        write_private(path, key_to_pem(key, read_passphrase(settings.passphrase_path)))
    return open_key_file(path, passphrase_path=settings.passphrase_path)


def _open_role(settings: Settings, role: Role) -> Signer:
    location = settings.keys / f"{role.value}.signer"
    if location.exists():
        return open_signer(location.read_text().strip(), passphrase_path=settings.passphrase_path)
    return open_key_file(settings.keys / f"{role.value}.pem", passphrase_path=settings.passphrase_path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotInitialised(f"{path} is missing; run: narrows-server init") from None


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    # Written beside its place and moved there, so that a half-written key never carries the name of a key.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
