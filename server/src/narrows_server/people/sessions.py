"""
Sessions: which browser is signed in as whom, kept here and not in the cookie.

The cookie is a random token; what is stored is its SHA-256. It is replaced whenever what it is worth changes, so a
token that somebody planted or saw before is worth nothing afterwards. It ends after an hour without a request, and
after twelve hours whatever happens.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.access.caller import Caller
from narrows_server.access.roles import Role, permitted
from narrows_server.audit import Occasion
from narrows_server.people.models import Person, WebSession

COOKIE = "__Host-narrows"
VISIT_COOKIE = "__Host-narrows-visit"  # Of a browser that is not signed in: what its forms are bound to.
IDLE_MAX = timedelta(hours=1)
LIFETIME_MAX = timedelta(hours=12)
SEEN_NOTED_EVERY = timedelta(minutes=1)
AGENT_CHARACTERS_MAX = 200


class Level(StrEnum):
    """How much has been proved."""

    PASSWORD = "password"  # noqa: S105 - the name of a level; opens the second step, and nothing else.
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a browser is, for its owner to recognise it."""

    address: str
    agent: str


def open_session(session: Session, person: Person, level: Level, *, origin: Origin, occasion: Occasion) -> str:
    """A fresh session; returns the token for the cookie."""
    token = secrets.token_urlsafe(32)
    session.add(
        WebSession(
            digest=_digest(token),
            person_id=person.id,
            person=person,
            level=level.value,
            enrolling_sealed=None,
            address=origin.address[:64],
            agent=origin.agent[:AGENT_CHARACTERS_MAX],
            signed_in_at=occasion.at,
            seen_at=occasion.at,
            expires_at=occasion.at + LIFETIME_MAX,
        )
    )
    session.execute(delete(WebSession).where(WebSession.expires_at <= occasion.at))
    if level is Level.FULL:
        person.signed_in_at = occasion.at
        audit.write(session, occasion, "person.signed_in", person.id, address=origin.address)
    return token


def find_session(session: Session, token: str, *, at: datetime) -> WebSession | None:
    """The session of this cookie, if it has not ended; of nobody who was disabled since."""
    found = session.get(WebSession, _digest(token)) if token else None
    if found is None or at >= found.expires_at or at >= found.seen_at + IDLE_MAX:
        return None
    return None if found.person.disabled_at is not None else found


def needs_note(found: WebSession, *, at: datetime) -> bool:
    """Whether it has not been noted for a while that the session is in use."""
    return at - found.seen_at >= SEEN_NOTED_EVERY


def note_seen(session: Session, token: str, *, at: datetime) -> None:
    """Remember that the session is in use."""
    found = session.get(WebSession, _digest(token))
    if found is not None and at < found.seen_at + IDLE_MAX:
        found.seen_at = at


def end_session(session: Session, token: str) -> None:
    """The cookie is worth nothing from now on."""
    session.execute(delete(WebSession).where(WebSession.digest == _digest(token)))


def end_sessions(session: Session, person: Person, *, but: str | None = None) -> int:
    """End every session of a person, except that of the cookie *but*; how many those were."""
    query = select(WebSession).where(WebSession.person_id == person.id)
    if but is not None:
        query = query.where(WebSession.digest != _digest(but))
    ended = list(session.scalars(query))
    for found in ended:
        session.delete(found)
    session.flush()
    return len(ended)


def list_sessions(session: Session, person: Person, *, at: datetime) -> list[WebSession]:
    """The sessions of a person that have not ended, the newest first."""
    query = select(WebSession).where(WebSession.person_id == person.id, WebSession.expires_at > at)
    rows = session.scalars(query.order_by(WebSession.signed_in_at.desc(), WebSession.digest))
    return [row for row in rows if at < row.seen_at + IDLE_MAX]


def caller_of(person: Person) -> Caller:
    """What a person may do who has proved who they are."""
    actor = f"person:{person.email}"
    return Caller(actor=actor, human=actor, actions=permitted(Role(person.role)), customer_id=person.customer_id)


def form_token(secret: bytes, cookie: str) -> str:
    """What a form carries to show that it comes from a page of ours, shown to the browser with this cookie."""
    return hmac.new(secret, f"narrows-form/1\n{cookie}".encode(), hashlib.sha256).hexdigest()


def is_form_token(secret: bytes, cookie: str, token: str) -> bool:
    """Whether a form with this token comes from the browser with this cookie."""
    return bool(cookie) and hmac.compare_digest(form_token(secret, cookie).encode(), token.encode("utf-8", "replace"))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
