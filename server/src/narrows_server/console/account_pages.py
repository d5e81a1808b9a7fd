"""One's own account: second factor, password, and the browsers that are signed in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlalchemy.orm import Session

from narrows_server.audit import Occasion
from narrows_server.console.gate import (
    CODE,
    SECOND_FACTOR,
    SIGN_IN,
    Posted,
    SeeOther,
    Target,
    asked_for,
    on_the_way,
    origin_of,
    own_path,
    sign_in_browser,
)
from narrows_server.console.rendering import page, redirect
from narrows_server.console.room import Room, entering
from narrows_server.console.theme import theme_of
from narrows_server.errors import Invalid, TooManyAttempts
from narrows_server.office import Office
from narrows_server.people import passwords, second_factor, service, sessions, throttle
from narrows_server.people.models import Person, WebSession
from narrows_server.people.sessions import Level
from narrows_server.people.visitor import Visitor, find_visitor
from narrows_server.web import OfficeOf

router = APIRouter(tags=["account"])

SignedIn = Annotated[Room, entering(None)]


@router.get(SECOND_FACTOR)
def show_second_factor(request: Request, office: OfficeOf, next: Target = "/") -> Response:  # noqa: A002
    return _second_factor_page(request, office, _may_enrol(request, office), target=own_path(next))


@router.post(SECOND_FACTOR)
def enrol_second_factor(request: Request, office: OfficeOf, form: Posted) -> Response:
    """The codes that are shown here are the only way in when the telephone is lost."""
    visitor = _may_enrol(request, office)
    target = own_path(form.get("next", "/"))
    occasion = _occasion(office, visitor.person)
    try:
        with office.database.transaction() as session:
            throttle.count_attempt(session, service.codes_of(visitor.person), at=occasion.at)
    except TooManyAttempts as error:
        problem = f"Too many attempts. Try again in {error.retry_after_seconds} seconds."
        return _second_factor_page(request, office, visitor, target=target, problem=problem, status=429)
    with office.database.transaction() as session:
        found = _require_session(session, visitor, occasion)
        codes = service.enrol_second_factor(
            session,
            found,
            code=form.get("code", ""),
            console_secret=office.keyring.console_secret,
            occasion=occasion,
        )
        if codes is not None:
            throttle.forgive(session, service.codes_of(visitor.person))
            # More can be done with the session from now on, so it is another one; and the only one.
            service.end_sessions(session, found.person, occasion=occasion)
            token = sessions.open_session(
                session, found.person, Level.FULL, origin=origin_of(request), occasion=occasion
            )
    if codes is None:
        problem = "That code is not right. Is the clock of the telephone set right?"
        return _second_factor_page(request, office, visitor, target=target, problem=problem, status=422)
    response = page("recovery_codes.html", theme=theme_of(request), codes=codes, next=target)
    sign_in_browser(response, token)
    return response


@router.get("/account")
def show_account(room: SignedIn) -> Response:
    return _account_page(room)


@router.post("/account/password")
def change_password(room: SignedIn, form: Posted) -> Response:
    """Every session ends, and this browser gets a fresh one."""
    request, office, visitor = room.request, room.office, room.visitor
    occasion = _occasion(office, visitor.person)
    try:
        with office.database.transaction() as session:
            throttle.count_attempt(session, service.account_of(visitor.person.email), at=occasion.at)
    except TooManyAttempts as error:
        problem = f"Too many attempts. Try again in {error.retry_after_seconds} seconds."
        return _account_page(room, problem=problem, status=429)
    try:
        if not passwords.is_password(form.get("current", ""), visitor.person.password_hash):
            raise Invalid("your present password is another one")
        if form.get("password", "") != form.get("again", ""):
            raise Invalid("the two passwords are not the same")
        password_hash = service.check_new_password(visitor.person, form.get("password", ""))
    except Invalid as error:
        return _account_page(room, problem=error.detail, status=422)
    with office.database.transaction() as session:
        person = service.require_person(session, visitor.person.id)
        service.set_password(session, person, password_hash, occasion=occasion)
        token = sessions.open_session(session, person, Level.FULL, origin=origin_of(request), occasion=occasion)
    response = redirect("/account")
    sign_in_browser(response, token)
    return response


@router.post("/account/sessions/end")
def end_other_sessions(room: SignedIn, form: Posted) -> Response:
    office, visitor = room.office, room.visitor
    with office.database.transaction() as session:
        person = service.require_person(session, visitor.person.id)
        service.end_sessions(session, person, occasion=_occasion(office, person), but=visitor.token)
    return redirect("/account")


def _account_page(room: Room, *, problem: str | None = None, status: int = 200) -> Response:
    office, visitor = room.office, room.visitor
    with office.database.snapshot() as session:
        person = service.require_person(session, visitor.person.id)
        rows = sessions.list_sessions(session, person, at=office.clock())
        codes_left = second_factor.count_recovery_codes(session, person)
    return room.page(
        "account.html",
        status=status,
        sessions=[(row, row.digest == visitor.session.digest) for row in rows],
        codes_left=codes_left,
        problem=problem,
        characters_min=passwords.CHARACTERS_MIN,
    )


def _second_factor_page(
    request: Request, office: Office, visitor: Visitor, *, target: str, problem: str | None = None, status: int = 200
) -> Response:
    """The secret is made once for a session, so that a mistyped code does not ask for another scan."""
    with office.database.transaction() as session:
        found = _require_session(session, visitor, _occasion(office, visitor.person))
        if found.enrolling_sealed is None:
            found.enrolling_sealed = second_factor.seal(second_factor.new_secret(), office.keyring.console_secret)
        secret = second_factor.unseal(found.enrolling_sealed, office.keyring.console_secret)
    return page(
        "second_factor.html",
        status=status,
        theme=theme_of(request),
        form_token=visitor.form_token,
        # Drawn by us from a Base32 secret and a checked address, not text from anybody.
        qr_code=Markup(second_factor.qr_code(secret, email=visitor.person.email)),  # noqa: S704
        secret=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        is_replacing=visitor.person.totp_sealed is not None,
        problem=problem,
        next=target,
    )


def _may_enrol(request: Request, office: Office) -> Visitor:
    """Whoever is signed in, or has only the second factor to set up. Nobody replaces one without having shown it."""
    visitor = find_visitor(request, office)
    if visitor is None or visitor.person.password_hash is None:
        raise SeeOther(on_the_way(SIGN_IN, asked_for(request)))
    if not (visitor.is_complete or visitor.must_enrol):
        raise SeeOther(on_the_way(CODE, asked_for(request)))
    return visitor


def _require_session(session: Session, visitor: Visitor, occasion: Occasion) -> WebSession:
    found = sessions.find_session(session, visitor.token, at=occasion.at)
    if found is None:
        raise SeeOther(SIGN_IN)
    return found


def _occasion(office: Office, person: Person) -> Occasion:
    return Occasion(actor=f"person:{person.email}", at=office.clock())
