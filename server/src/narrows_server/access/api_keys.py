"""
API keys of programs: made, used, rotated, revoked.

A key has 256 random bits, so a plain SHA-256 of it is safe to store: there is nothing to guess that a slow hash would
have to slow down. It is looked up by that digest, so the time it takes says nothing about the key.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Set
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.access.caller import Caller
from narrows_server.access.models import ApiKey
from narrows_server.access.roles import PEOPLE_ONLY, Action
from narrows_server.audit import Occasion
from narrows_server.errors import Invalid, NotFound
from narrows_server.identity import new_id, require_line
from narrows_server.paging import Paged, Paging, read_page

KEY_PREFIX = "nwk_"
PREFIX_CHARACTERS = len(KEY_PREFIX) + 6
NAME_CHARACTERS_MAX = 100
LIFETIME_MAX = timedelta(days=5 * 365)
OVERLAP = timedelta(days=1)  # After a rotation: so long the key before it still opens.
USE_NOTED_EVERY = timedelta(minutes=5)  # A write for every read would make readers wait for each other.
ALL_SCOPES = frozenset(Action) - PEOPLE_ONLY


def make(
    session: Session,
    *,
    name: str,
    scopes: Set[Action],
    human: str,
    occasion: Occasion,
    customer_id: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A fresh key, and its text: this is the only time that it can be seen. Raises `Invalid`."""
    if not scopes:
        raise Invalid("a key without scopes opens nothing; name at least one")
    refused = sorted(scopes & PEOPLE_ONLY)
    if refused:
        raise Invalid(f"{', '.join(refused)} takes a person; no key can have it")
    if expires_at is not None and not occasion.at < expires_at <= occasion.at + LIFETIME_MAX:
        raise Invalid(f"a key expires in the future, within {LIFETIME_MAX.days} days")
    text = _new_text()
    key = ApiKey(
        id=new_id("key"),
        name=require_line(name, "the name of a key", characters_max=NAME_CHARACTERS_MAX),
        prefix=text[:PREFIX_CHARACTERS],
        digest=_digest(text),
        previous_digest=None,
        previous_until=None,
        scopes=" ".join(sorted(scopes)),
        customer_id=customer_id,
        made_by=human,
        created_at=occasion.at,
        last_used_at=None,
        expires_at=expires_at,
        revoked_at=None,
    )
    session.add(key)
    audit.write(session, occasion, "api_key.made", key.id, name=name, scopes=key.scopes, customer=customer_id)
    return key, text


def rotate(session: Session, key: ApiKey, *, occasion: Occasion, overlap: timedelta = OVERLAP) -> str:
    """A new text for *key*; the old one opens for *overlap* more. Raises `Invalid` for a key that opens nothing."""
    if not _is_in_force(key, occasion.at):
        raise Invalid(f"key {key.id} was revoked or has expired; make a new one")
    text = _new_text()
    key.previous_digest, key.previous_until = key.digest, occasion.at + overlap
    key.digest, key.prefix = _digest(text), text[:PREFIX_CHARACTERS]
    audit.write(session, occasion, "api_key.rotated", key.id, previous_until=key.previous_until.isoformat())
    return text


def revoke(session: Session, key: ApiKey, *, occasion: Occasion) -> None:
    """From now on *key* opens nothing, nor does the one before it. Again changes nothing."""
    if key.revoked_at is None:
        key.revoked_at = occasion.at
        audit.write(session, occasion, "api_key.revoked", key.id)


def find_caller(session: Session, text: str, *, at: datetime) -> Caller | None:
    """Who shows the key *text*, or None if it opens nothing."""
    key = _find(session, text, at=at)
    if key is None:
        return None
    return Caller(
        actor=f"key:{key.id}", human=key.made_by, actions=scopes_of(key) - PEOPLE_ONLY, customer_id=key.customer_id
    )


def needs_note(session: Session, text: str, *, at: datetime) -> bool:
    """Whether the use of the key *text* has not been noted for a while."""
    key = _find(session, text, at=at)
    return key is not None and (key.last_used_at is None or at - key.last_used_at >= USE_NOTED_EVERY)


def note_use(session: Session, text: str, *, at: datetime) -> None:
    """Remember that the key *text* was used."""
    key = _find(session, text, at=at)
    if key is not None:
        key.last_used_at = at


def has_key(session: Session, *, name: str) -> bool:
    """Whether a key called *name* was ever made."""
    return session.scalar(select(ApiKey.id).where(ApiKey.name == name).limit(1)) is not None


def require_key(session: Session, key_id: str, caller: Caller | None = None) -> ApiKey:
    """The key with this id, if it exists for *caller*. Raises `NotFound`."""
    key = session.get(ApiKey, key_id)
    if key is None or (caller is not None and not caller.owns(key.customer_id)):
        raise NotFound(f"there is no API key {key_id}")
    return key


def list_keys(session: Session, at: Paging, *, customer_id: str | None = None) -> Paged[ApiKey]:
    """Keys, newest first: all of them, or those of one customer."""
    query = select(ApiKey)
    if customer_id is not None:
        query = query.where(ApiKey.customer_id == customer_id)
    return read_page(session, query, by=(ApiKey.created_at, ApiKey.id), at=at)


def scopes_of(key: ApiKey) -> frozenset[Action]:
    """The actions that *key* may take."""
    return frozenset(Action(scope) for scope in key.scopes.split())


def _find(session: Session, text: str, *, at: datetime) -> ApiKey | None:
    digest = _digest(text)
    query = select(ApiKey).where(or_(ApiKey.digest == digest, ApiKey.previous_digest == digest))
    key = session.scalars(query).first()
    if key is None or not _is_in_force(key, at):
        return None
    is_previous = key.previous_digest == digest
    if is_previous and (key.previous_until is None or at >= key.previous_until):
        return None
    return key


def _is_in_force(key: ApiKey, at: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or at < key.expires_at)


def _new_text() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(32)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
