"""Whoever has a session: found by the cookie of a request, for pages and for the API alike."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from narrows_server.access.caller import Caller
from narrows_server.office import Office
from narrows_server.people import sessions
from narrows_server.people.models import Person, WebSession
from narrows_server.people.service import needs_second_factor
from narrows_server.people.sessions import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A person in a browser. *is_complete* once all has been proved that the role takes."""

    person: Person
    session: WebSession
    token: str
    form_token: str

    @property
    def is_complete(self) -> bool:
        """Whether nothing but the second factor stands between the person and what they may do."""
        return self.session.level == Level.FULL and not self.must_enrol

    @property
    def must_enrol(self) -> bool:
        """Whether a second factor is to be set up first. Single sign-on has its own."""
        has_one = self.person.totp_sealed is not None or self.person.password_hash is None
        return needs_second_factor(self.person) and not has_one

    @property
    def caller(self) -> Caller:
        """What they may do."""
        return sessions.caller_of(self.person)


def find_visitor(request: Request, office: Office) -> Visitor | None:
    """Who is signed in in this browser, also if only half."""
    token = request.cookies.get(sessions.COOKIE, "")
    if not token:
        return None
    now = office.clock()
    with office.database.snapshot() as session:
        found = sessions.find_session(session, token, at=now)
        if found is None:
            return None
        needs_note = sessions.needs_note(found, at=now)
        person = found.person
    if needs_note:
        with office.database.transaction() as session:
            sessions.note_seen(session, token, at=now)
    return Visitor(
        person=person,
        session=found,
        token=token,
        form_token=sessions.form_token(office.keyring.console_secret, token),
    )
