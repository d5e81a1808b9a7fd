"""
This running copy of the SDK: its Ed25519 key, which signs reports, and the key that hides asset names.

Both are made at first use and stay on this machine, readable by their owner only.
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
            key = _kept_secret(state_folder / "installation.key")
            asset_key = _kept_secret(state_folder / "asset.key")
        except OSError as error:
            raise UsageError(
                f"can't keep this installation's keys in {state_folder}: {error}. "
                "Set NARROWS_STATE to a writable folder."
            ) from error
        return cls(Ed25519PrivateKey.from_private_bytes(key), asset_key)


def _kept_secret(path: Path) -> bytes:
    """32 random bytes that stay the same from the first call on, also when several processes start at once."""
    if not path.exists():
        partial = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
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
