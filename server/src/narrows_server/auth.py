"""
Who may read: the admin key for programs, a signed cookie for people who showed that key once.

Reports need neither, they carry their own signature. There is one key and no roles yet. The key has 256 random bits,
so a plain SHA-256 of it is safe to store and guessing it needs no rate limit to be hopeless.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.database import Base, UtcDateTime

KEY_PREFIX = "nwk_"
COOKIE = "narrows_session"
SESSION_LIFETIME = timedelta(hours=12)


class ApiKey(Base):
    """An API key by its SHA-256; the key itself is stored nowhere here."""

    __tablename__ = "api_key"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


def make_key(session: Session, *, name: str, occasion: Occasion) -> str:
    """A fresh key called *name*. This is the only time that it can be seen."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    session.add(ApiKey(digest=_digest(key), name=name, created_at=occasion.at))
    audit.write(session, occasion, "api_key.made", name)
    return key


def has_key(session: Session, *, name: str) -> bool:
    """Whether a key called *name* exists."""
    return session.scalar(select(ApiKey.digest).where(ApiKey.name == name)) is not None


def is_key(session: Session, key: str) -> bool:
    """Whether *key* is one of ours. Looked up by digest, so the time it takes says nothing about the key."""
    return session.get(ApiKey, _digest(key)) is not None


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


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _seal(secret: bytes, expires: str) -> str:
    mac = hmac.new(secret, f"narrows-console/1:{expires}".encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(mac).rstrip(b"=").decode()
