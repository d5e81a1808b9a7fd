"""A signed cookie for people who showed the admin key once."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

COOKIE = "narrows_session"
SESSION_LIFETIME = timedelta(hours=12)


def session_cookie(secret: bytes, *, at: datetime) -> str:
    """The value of a cookie that `is_session` accepts for `SESSION_LIFETIME`."""
    expires = str(int((at + SESSION_LIFETIME).timestamp()))
    return f"{expires}.{_seal(secret, expires)}"


def is_session(secret: bytes, cookie: str, *, at: datetime) -> bool:
    """Whether *cookie* was made with *secret* and has not expired at *at*."""
    expires, _, seal = cookie.partition(".")
    # Compared as bytes: `compare_digest` refuses text outside ASCII, which a stranger may well send.
    if not hmac.compare_digest(seal.encode(), _seal(secret, expires).encode()):
        return False
    return at < datetime.fromtimestamp(int(expires), UTC)


def _seal(secret: bytes, expires: str) -> str:
    mac = hmac.new(secret, f"narrows-console/1:{expires}".encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(mac).rstrip(b"=").decode()
