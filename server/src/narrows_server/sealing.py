"""Secrets that must be read again (unlike passwords and keys, which are only compared) are stored sealed."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def box(secret: bytes, purpose: str, *, with_key: str = "") -> Fernet:
    """
    Seals and opens under a key of its own for each *purpose*, derived from this server's *secret*.

    Where only the caller is to be able to open it, *with_key* is something that the caller alone has.
    """
    material = secret + with_key.encode()
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"narrows/{purpose}/1".encode()).derive(material)
    return Fernet(urlsafe_b64encode(derived))
