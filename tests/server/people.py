"""Builders of people: with a password, with a second factor, in a browser that is signed in."""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import urlencode

import httpx
import pyotp
from fastapi import FastAPI
from narrows_server.access.roles import Role
from narrows_server.app import create_app
from narrows_server.audit import Occasion
from narrows_server.office import Office
from narrows_server.people import passwords, second_factor, service, sessions
from narrows_server.people.models import Person
from narrows_server.people.sessions import COOKIE, Level, Origin

from .builders import Browser, an_occasion

PASSWORD = "winter ferry copper lantern"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
FORM = "application/x-www-form-urlencoded"


@cache
def password_hash() -> str:
    """Of `PASSWORD`; computed once, because that is slow on purpose."""
    return passwords.hash_password(PASSWORD)


def a_person(
    office: Office,
    role: Role = Role.OWNER,
    *,
    email: str | None = None,
    customer_id: str | None = None,
    with_factor: bool = True,
) -> Person:
    """Somebody who has accepted an invitation, and set up a second factor."""
    with office.database.transaction() as session:
        occasion = an_occasion(office.clock())
        person, token = service.invite(
            session,
            email=email or f"{role.value}@narrows.test",
            name="Anna Berg",
            role=role,
            customer_id=customer_id,
            occasion=occasion,
        )
        service.accept_invitation(session, token, password_hash(), at=occasion.at)
        if with_factor:
            person.totp_sealed = second_factor.seal(SECRET, office.keyring.console_secret)
    return person


def a_code(office: Office) -> str:
    """The six digits that the authenticator app shows now."""
    return pyotp.TOTP(SECRET).at(int(office.clock().timestamp()))


class Seat:
    """A person at a browser: fills in forms as they stand on the page."""

    def __init__(self, app: FastAPI, *, calm: bool = False) -> None:
        self.browser = Browser(app, headers={"Accept": "text/html", "User-Agent": "Testfox 1"}, is_calm=calm)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.browser.get(path, **headers)

    def token_of(self, page: str) -> str:
        """The token of the forms on a page."""
        return str(re.findall(r'name="form_token" value="([0-9a-f]{64})"', self.get(page).text)[0])

    def submit(self, path: str, fields: dict[str, str], *, page: str | None = None, **headers: str) -> httpx.Response:
        """Fill in the form on *page* and send it to *path*."""
        return self.post(path, {"form_token": self.token_of(page or path), **fields}, **headers)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        return self.browser.post(path, urlencode(fields).encode(), Content_Type=FORM, **headers)

    def send(self, office: Office, method: str, path: str, body: bytes = b"{}") -> httpx.Response:
        """Ask the API as a page of ours would: with the session, and the token of a form."""
        token = sessions.form_token(office.keyring.console_secret, self.cookie)
        headers = {"X-CSRF-Token": token, "Content-Type": "application/json", "Accept": "application/json"}
        return self.browser.ask(method, path, body, headers)

    def sign_in(self, person: Person, password: str = PASSWORD) -> httpx.Response:
        return self.submit("/sign-in", {"email": person.email, "password": password})

    @property
    def cookie(self) -> str:
        """The token of the session."""
        return str(self.browser.cookies.get(COOKIE, domain="narrows.test") or self.browser.cookies.get(COOKIE) or "")

    @cookie.setter
    def cookie(self, token: str) -> None:
        self.browser.cookies.set(COOKIE, token)


def at_a_browser(office: Office, person: Person) -> Seat:
    """A browser in which *person* is signed in."""
    with office.database.transaction() as session:
        person = service.require_person(session, person.id)
        occasion = Occasion(actor=f"person:{person.email}", at=office.clock())
        origin = Origin(address="192.0.2.7", agent="Testfox 1")
        token = sessions.open_session(session, person, Level.FULL, origin=origin, occasion=occasion)
    seat = Seat(create_app(office))
    seat.cookie = token
    return seat
