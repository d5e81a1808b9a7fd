"""
This running copy of the SDK: its Ed25519 key, which signs reports, and the key that hides asset names.

Both are made at first use and stay on this machine, readable by their owner only. An installation that another has
replaced (see `succession`) leaves its key beside the new one, under its id.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from narrows_licensing.signature import thumbprint

from narrows.errors import UsageError

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Installation:
    """An identity. *key* signs reports; *asset_key* makes asset and rendition ids."""

    key: Ed25519PrivateKey
    asset_key: bytes

    @property
    def id(self) -> str:
        """The RFC 7638 thumbprint of the public key."""
        return thumbprint(self.key.public_key())

    def pseudonym(self, content: bytes) -> str:
        """A stable id of *content* that tells nobody else what it is: HMAC-SHA-256 under a key that stays here."""
        return hmac.new(self.asset_key, content, hashlib.sha256).hexdigest()

    @classmethod
    def open(cls, state_folder: Path) -> Installation:
        """Read the keys of *state_folder*, or make them; raises UsageError when they can't be kept."""
        try:
            state_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = _kept_secret(key_path(state_folder))
            asset_key = _kept_secret(state_folder / "asset.key")
        except OSError as error:
            raise UsageError(
                f"can't keep this installation's keys in {state_folder}: {error}. "
                "Set NARROWS_STATE to a writable folder."
            ) from error
        return cls(Ed25519PrivateKey.from_private_bytes(key), asset_key)

    @classmethod
    def open_earlier(cls, state_folder: Path, installation_id: str) -> Installation:
        """The keys of an installation that has a successor; raises UsageError when they are not there."""
        try:
            key = earlier_key_path(state_folder, installation_id).read_bytes()
            asset_key = (state_folder / "asset.key").read_bytes()
            return cls(Ed25519PrivateKey.from_private_bytes(key), asset_key)
        except (OSError, ValueError) as error:
            raise UsageError(f"can't read the keys of the installation {installation_id}: {error}") from error


def key_path(state_folder: Path) -> Path:
    """The key of the installation that lives here now."""
    return state_folder / "installation.key"


def earlier_key_path(state_folder: Path, installation_id: str) -> Path:
    """The key of one that lived here before."""
    return state_folder / f"installation-{installation_id}.key"


def earlier_ids(state_folder: Path) -> set[str]:
    """The installations that lived here before."""
    return {path.stem.removeprefix("installation-") for path in state_folder.glob("installation-*.key")}


def write_secret(path: Path, secret: bytes) -> None:
    """Write *secret* to a new file at *path*, for its owner only, and wait for the disk. Raises OSError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def _kept_secret(path: Path) -> bytes:
    """32 random bytes that stay the same from the first call on, also when several processes start at once."""
    if not path.exists():
        partial = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        write_secret(partial, secrets.token_bytes(_KEY_BYTES))
        try:
            os.link(partial, path)  # Fails where another process was quicker; its key is the one that counts.
        except FileExistsError:
            pass
        finally:
            partial.unlink()
    secret = path.read_bytes()
    if len(secret) != _KEY_BYTES:
        raise UsageError(f"{path} does not hold a key of {_KEY_BYTES} bytes; restore it from a backup")
    return secret
