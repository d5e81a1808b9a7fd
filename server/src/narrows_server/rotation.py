"""
New keys and new trust bundles: drafted where the server is, signed where the roots are, installed where the server is.

A draft is a bundle without enough signatures. It is the only thing that travels to the offline machine, and the
signed bundle the only thing that travels back. The keys of the old bundle stay in the new one until they end, so that
what they signed stays good, unless they are withdrawn.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from narrows_licensing import post_quantum
from narrows_licensing.errors import LicensingError
from narrows_licensing.signature import decode_base64url, public_key_to_text, thumbprint
from narrows_licensing.strict_json import read_object
from narrows_licensing.trust import Role, Roots, TrustBundle, TrustedKey, read_bundle, sign_bundle

from narrows_server.errors import AlreadyExists, Invalid, NotInitialised
from narrows_server.keyring import (
    BUNDLE_LIFETIME,
    ROOT_KEYS,
    ROOT_THRESHOLD,
    key_to_pem,
    read_earlier_keys,
    replace_file,
    write_private,
)
from narrows_server.settings import Settings
from narrows_server.signer import open_key_file, open_signer, read_passphrase

POST_QUANTUM_FILE = "root-ml-dsa-65.seed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What a new bundle has changed."""

    bundle: TrustBundle
    activated: tuple[Role, ...]  # The roles that sign with a new key from now on.


def make_roots(folder: Path, *, passphrase: bytes | None, with_post_quantum: bool) -> Roots:
    """
    Make three root keys in a new *folder*, encrypted if there is a passphrase, and the public `roots.json` beside.

    For an offline machine. Raises `AlreadyExists` rather than replace a key.
    """
    if folder.exists() and any(folder.iterdir()):
        raise AlreadyExists(f"{folder} is not empty; roots are made once, in a folder of their own")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = [Ed25519PrivateKey.generate() for _ in range(ROOT_KEYS)]
    for number, key in enumerate(keys, start=1):
        write_private(folder / f"root-{number}.pem", key_to_pem(key, passphrase))
    second = None
    if with_post_quantum:
        if not post_quantum.is_available():
            raise Invalid("a root for ML-DSA-65 needs cryptography 50 or newer")
        seed = Ed25519PrivateKey.generate().private_bytes_raw()  # 32 random bytes.
        write_private(folder / POST_QUANTUM_FILE, seed)
        second = post_quantum.key_from_seed(seed).public_key().public_bytes_raw()
    roots = Roots.of([key.public_key() for key in keys], threshold=ROOT_THRESHOLD, post_quantum=second)
    replace_file(folder / "roots.json", roots.to_json().encode(), mode=0o644)
    return roots


def draft_rotation(
    settings: Settings,
    bundle: TrustBundle,
    roots: Roots,
    *,
    roles: Collection[Role],
    withdraw: bool,
    at: datetime,
    signers: dict[Role, str] | None = None,
) -> dict[str, Any]:
    """
    Draft the next bundle, with a new key for each of *roles*.

    The new keys wait beside the old ones, under `ROLE.next.pem` or where *signers* says that they are, until
    `install_bundle`. With *withdraw* the keys that they replace are left out: what those signed is refused by
    everybody who has seen the new bundle.
    """
    issued_at = at.replace(microsecond=0)
    entries = [key for key in bundle.keys if key.not_after > at and not (withdraw and key.role in roles)]
    for role in sorted(roles):
        location = (signers or {}).get(role)
        if location is not None:
            key = open_signer(location, passphrase_path=settings.passphrase_path).public_key()
            write_private(_next_signer(settings, role), f"{location}\n".encode())
        else:
            made = Ed25519PrivateKey.generate()
            write_private(_next_pem(settings, role), key_to_pem(made, read_passphrase(settings.passphrase_path)))
            key = made.public_key()
        entries.append(_entry(role, key, issued_at))
    draft = replace(
        bundle,
        version=bundle.version + 1,
        issued_at=issued_at,
        expires_at=issued_at + BUNDLE_LIFETIME,
        keys=tuple(entries),
        post_quantum=None if roots.post_quantum is None else post_quantum.thumbprint(roots.post_quantum),
    )
    return sign_bundle(draft, [])


def add_signatures(
    document: dict[str, Any], root_keys: Sequence[Ed25519PrivateKey], *, seed: bytes | None = None
) -> dict[str, Any]:
    """Sign a draft, or a bundle that others have signed already. Raises `Invalid` if it is neither."""
    try:
        payload = decode_base64url(document["payload"], "the payload")
        bundle = TrustBundle.from_claims(read_object(payload))
        signed = sign_bundle(bundle, root_keys, None if seed is None else post_quantum.key_from_seed(seed))
    except (LicensingError, KeyError, TypeError, ValueError) as error:
        raise Invalid(f"this is not the draft of a trust bundle: {error}") from error
    if signed["payload"] != document["payload"]:
        raise Invalid("this draft was not written by narrows-server")
    together = {entry["protected"]: entry for entry in [*document["signatures"], *signed["signatures"]]}
    second = signed.get("post_quantum") or document.get("post_quantum")
    result = {"payload": signed["payload"], "signatures": list(together.values())}
    return result | ({"post_quantum": second} if second else {})


def describe(document: dict[str, Any]) -> TrustBundle:
    """Read what a draft says, whoever signed it: for the person who is to sign it. Raises `Invalid`."""
    try:
        return TrustBundle.from_claims(read_object(decode_base64url(document["payload"], "the payload")))
    except (LicensingError, KeyError, TypeError, ValueError) as error:
        raise Invalid(f"this is not a trust bundle: {error}") from error


def install_bundle(
    settings: Settings, document: dict[str, Any], current: TrustBundle | None, roots: Roots
) -> Installed:
    """
    Put a signed bundle in the place of the current one, and the keys that wait for it in theirs.

    Raises `Invalid` unless enough roots signed it, it is newer, and every role still has a key here.
    """
    try:
        bundle = read_bundle(document, roots)
    except LicensingError as error:
        raise Invalid(f"customers would refuse this trust bundle: {error}") from error
    if current is not None and bundle.version <= current.version:
        raise Invalid(f"this is trust bundle {bundle.version}, and {current.version} is installed")
    known = {key.kid for key in bundle.keys}
    activated: list[Role] = []
    for role in Role:
        waiting = [path for path in (_next_pem(settings, role), _next_signer(settings, role)) if path.exists()]
        if not waiting:
            continue
        place = waiting[0].read_text().strip() if waiting[0].suffix == ".signer" else str(waiting[0])
        if thumbprint(open_signer(place, passphrase_path=settings.passphrase_path).public_key()) not in known:
            raise Invalid(f"the {role.value} key that waits in {settings.keys} is not in this trust bundle")
        activated.append(role)
    if current is not None:
        _keep_earlier(settings, current, known)
    # The bundle first: it also holds the old keys, so an interruption leaves a server that works.
    replace_file(settings.trust_bundle, json.dumps(document, indent=2).encode(), mode=0o644)
    settings.bundle_draft.unlink(missing_ok=True)
    for role in activated:
        _activate(settings, role)
    return Installed(bundle=bundle, activated=tuple(activated))


def read_root(path: Path, *, passphrase_path: Path | None) -> Ed25519PrivateKey:
    """Open a root key, on the machine where it lives."""
    return open_key_file(path, passphrase_path=passphrase_path)


def read_roots(path: Path) -> Roots:
    """Read a roots file. Raises `Invalid`."""
    try:
        return Roots.from_json(path.read_text())
    except (OSError, LicensingError) as error:
        raise Invalid(f"{path} is not a roots file: {error}") from error


def adopt_roots(settings: Settings, path: Path) -> None:
    """Trust roots that were made elsewhere. Raises `Invalid` if a state folder has others already."""
    roots = read_roots(path)
    if settings.roots.exists() and read_roots(settings.roots) != roots:
        raise Invalid(f"{settings.home} trusts other roots already")
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(settings.roots, roots.to_json().encode(), mode=0o644)


def read_document(path: Path) -> dict[str, Any]:
    """Read a bundle or a draft of one. Raises `NotInitialised`, `Invalid`."""
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise NotInitialised(f"{path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise Invalid(f"{path} is not JSON") from error
    if not isinstance(document, dict):
        raise Invalid(f"{path} is not a trust bundle")
    return document


def _keep_earlier(settings: Settings, current: TrustBundle, known: set[str]) -> None:
    """Keep the license keys that the new bundle leaves out, so that what they signed can be renewed."""
    gone = {key.kid: key.public_key for key in current.keys if key.role is Role.LICENSE and key.kid not in known}
    if gone:
        keys = {**read_earlier_keys(settings), **gone}.values()
        texts = [public_key_to_text(key) for key in keys]
        replace_file(settings.earlier_keys, json.dumps(texts, indent=2).encode(), mode=0o644)


def _activate(settings: Settings, role: Role) -> None:
    pem, signer = settings.keys / f"{role.value}.pem", settings.keys / f"{role.value}.signer"
    if _next_signer(settings, role).exists():
        _next_signer(settings, role).replace(signer)
        pem.unlink(missing_ok=True)
    else:
        _next_pem(settings, role).replace(pem)
        signer.unlink(missing_ok=True)


def _next_pem(settings: Settings, role: Role) -> Path:
    return settings.keys / f"{role.value}.next.pem"


def _next_signer(settings: Settings, role: Role) -> Path:
    return settings.keys / f"{role.value}.next.signer"


def _entry(role: Role, key: Any, issued_at: datetime) -> TrustedKey:
    return TrustedKey(
        kid=thumbprint(key),
        role=role,
        public_key=key,
        not_before=issued_at - timedelta(days=1),  # A customer's clock may be behind ours.
        not_after=issued_at + BUNDLE_LIFETIME,
    )
