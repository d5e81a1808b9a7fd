"""
Once and no more: a request that changes something may be sent again with the same `Idempotency-Key`.

The key, a hash of the request and the answer are stored in the transaction of the change, so there is never a change
without them nor they without it. Two requests with one key at the same moment: the second waits and gets the answer of
the first. A refusal stores nothing, so what was refused may be tried again with the same key.

The answer may hold a secret that is shown once (a new API key). It is stored sealed under the idempotency key, of
which only a hash is kept: the database alone does not give it away.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.fernet import Fernet
from sqlalchemy import Integer, String, Text, delete
from sqlalchemy.orm import Mapped, Session, mapped_column

from narrows_server.database import Base, UtcDateTime
from narrows_server.errors import IdempotencyKeyReused
from narrows_server.sealing import box

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
KEY_CHARACTERS_MAX = 255
KEPT_FOR = timedelta(hours=24)


class IdempotencyKey(Base):
    """A key that was used, and what the request got that used it."""

    __tablename__ = "idempotency_key"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)  # Of the caller and the key.
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(Integer)
    sealed: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request with an idempotency key."""

    actor: str  # Whose key it is: two callers never meet in one.
    key: str
    request_hash: str  # Of method, path, query and body.
    secret: bytes  # Of this server, without which nothing is unsealed.

    @property
    def digest(self) -> str:
        """What the key is stored as."""
        return hashlib.sha256(f"{self.actor}\n{self.key}".encode()).hexdigest()

    def seal(self) -> Fernet:
        """Seals and opens the answer."""
        return box(self.secret, "idempotency", with_key=f"{self.actor}\n{self.key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status and a body."""

    status: int
    body: str


def find_answer(session: Session, asked: Asked, *, at: datetime) -> Answer | None:
    """What this request got before, if it did. Raises `IdempotencyKeyReused` if the key was of another request."""
    kept = session.get(IdempotencyKey, asked.digest)
    if kept is None:
        return None
    if at >= kept.created_at + KEPT_FOR:
        session.delete(kept)
        session.flush()
        return None
    if kept.request_hash != asked.request_hash:
        raise IdempotencyKeyReused(f"{HEADER} came before with another method, path or body; use a fresh one")
    return Answer(status=kept.status, body=asked.seal().decrypt(kept.sealed).decode())


def claim(session: Session, asked: Asked, *, at: datetime) -> IdempotencyKey:
    """
    Take the key before the change is made; where two do so at once, the second waits here for the first to commit.

    Raises `IntegrityError` for the second, who is to begin again and then finds the answer.
    """
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at <= at - KEPT_FOR))
    row = IdempotencyKey(digest=asked.digest, request_hash=asked.request_hash, status=0, sealed="", created_at=at)
    session.add(row)
    session.flush()
    return row


def keep_answer(row: IdempotencyKey, asked: Asked, answer: Answer) -> None:
    """Complete a claimed key."""
    row.status, row.sealed = answer.status, asked.seal().encrypt(answer.body.encode()).decode()
