"""
Signing in: password and second factor, single sign-on, the first password of somebody who was invited.

What goes wrong says the same whoever does not exist, is disabled or mistyped; and takes the same time.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.console.gate import (
    CODE,
    SECOND_FACTOR,
    SIGN_IN,
    Posted,
    SeeOther,
    Target,
    form_token_of,
    keep_visit,
    on_the_way,
    origin_of,
    own_path,
    sign_in_browser,
    sign_out_browser,
    visit_of,
)
from narrows_server.console.rendering import page, redirect
from narrows_server.console.theme import theme_of
from narrows_server.errors import Invalid, InvitationEnded, SignInRefused, TooManyAttempts
from narrows_server.office import Office
from narrows_server.people import passwords, service, sessions, throttle
from narrows_server.people.models import Person
from narrows_server.people.sessions import COOKIE, VISIT_COOKIE, Level
from narrows_server.people.sso import SingleSignOn, check_request, take_request
from narrows_server.people.throttle import Counted
from narrows_server.people.visitor import Visitor, find_visitor
from narrows_server.web import OfficeOf

WRONG = "Address and password do not fit together."
WRONG_CODE = "That code is not right, or was used before."

router = APIRouter(tags=["sign-in"])


@router.get(SIGN_IN)
def show_sign_in(request: Request, office: OfficeOf, next: Target = "/") -> Response:  # noqa: A002 - what it is called
    visitor = find_visitor(request, office)
    if visitor is not None and visitor.is_complete:
        return redirect(own_path(next))
    return _sign_in_page(request, office, target=own_path(next))


@router.post(SIGN_IN)
def sign_in(request: Request, office: OfficeOf, form: Posted) -> Response:
    email, target = form.get("email", ""), own_path(form.get("next", "/"))
    try:
        person = _check_password(request, office, email=email, password=form.get("password", ""))
    except TooManyAttempts as error:
        wait = f"Too many attempts. Try again in {_minutes(error.retry_after_seconds)}."
        response = _sign_in_page(request, office, target=target, email=email, problem=wait, status=429)
        response.headers["Retry-After"] = str(error.retry_after_seconds)
        return response
    if person is None:
        return _sign_in_page(request, office, target=target, email=email, problem=WRONG, status=401)
    has_factor = person.totp_sealed is not None
    level = Level.PASSWORD if has_factor or service.needs_second_factor(person) else Level.FULL
    place = target if level is Level.FULL else on_the_way(CODE if has_factor else SECOND_FACTOR, target)
    return _signed_in(request, office, person, level, place)


@router.get(CODE)
def show_code(request: Request, office: OfficeOf, next: Target = "/") -> Response:  # noqa: A002
    target = own_path(next)
    return _code_page(request, _half_signed_in(request, office, target), target=target)


@router.post(CODE)
def check_code(request: Request, office: OfficeOf, form: Posted) -> Response:
    target = own_path(form.get("next", "/"))
    visitor = _half_signed_in(request, office, target)
    occasion = _occasion(office, visitor.person)
    counted = service.codes_of(visitor.person)
    try:
        with office.database.transaction() as session:
            throttle.count_attempt(session, counted, at=occasion.at)
    except TooManyAttempts as error:
        wait = f"Too many attempts. Try again in {_minutes(error.retry_after_seconds)}."
        return _code_page(request, visitor, target=target, problem=wait, status=429)
    with office.database.transaction() as session:
        person = service.require_person(session, visitor.person.id)
        is_right = service.check_code(
            session,
            person,
            form.get("code", ""),
            console_secret=office.keyring.console_secret,
            occasion=occasion,
        )
        if is_right:
            throttle.forgive(session, counted)
        else:
            audit.write(session, occasion, "person.code_refused", person.id, address=origin_of(request).address)
    if not is_right:
        return _code_page(request, visitor, target=target, problem=WRONG_CODE, status=401)
    return _signed_in(request, office, visitor.person, Level.FULL, target)


@router.get("/sign-in/sso")
def begin_sso(request: Request, office: OfficeOf, next: Target = "/") -> Response:  # noqa: A002
    visit = visit_of(request)
    with office.database.transaction() as session:
        begun = _sso(request).begin(session, browser=visit, target=own_path(next), at=office.clock())
    response = redirect(begun.url)
    keep_visit(response, visit)
    return response


@router.get("/sign-in/sso/callback")
def complete_sso(
    request: Request,
    office: OfficeOf,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=2000)] = "",
    iss: Annotated[str | None, Query(max_length=255)] = None,
) -> Response:
    now = office.clock()
    with office.database.transaction() as session:
        taken = take_request(session, state)
    asked = check_request(taken, browser=request.cookies.get(VISIT_COOKIE, ""), at=now)
    single_sign_on = _sso(request)
    if iss is not None and iss != single_sign_on.settings.issuer:  # RFC 9207: an answer of another issuer, mixed up.
        raise SignInRefused("another issuer answered; begin again")
    if not code:
        raise SignInRefused("the issuer did not sign you in")
    identity = single_sign_on.complete(asked, code, at=now)
    with office.database.transaction() as session:
        person = service.find_by_identity(session, identity, at=now)
    if person is None:
        raise SignInRefused("there is no account here for you; ask an owner to invite your address")
    return _signed_in(request, office, person, Level.FULL, asked.target)


@router.get("/invitation")
def show_invitation(request: Request, office: OfficeOf, token: Annotated[str, Query(max_length=200)]) -> Response:
    return _invitation_page(request, office, token)


@router.post("/invitation")
def accept_invitation(request: Request, office: OfficeOf, form: Posted) -> Response:
    token, password = form.get("token", ""), form.get("password", "")
    with office.database.snapshot() as session:
        person = _require_invited(service.find_invited(session, token, at=office.clock()))
    try:
        if password != form.get("again", ""):
            raise Invalid("the two passwords are not the same")
        password_hash = service.check_new_password(person, password)
    except Invalid as error:
        return _invitation_page(request, office, token, problem=error.detail, status=422)
    with office.database.transaction() as session:
        person = service.accept_invitation(session, token, password_hash, at=office.clock())
    needs_factor = service.needs_second_factor(person)
    level, place = (Level.PASSWORD, SECOND_FACTOR) if needs_factor else (Level.FULL, "/")
    return _signed_in(request, office, person, level, place)


@router.post("/sign-out")
def sign_out(request: Request, office: OfficeOf, form: Posted) -> Response:
    with office.database.transaction() as session:
        sessions.end_session(session, request.cookies.get(COOKIE, ""))
    response = redirect(SIGN_IN)
    sign_out_browser(response)
    return response


def _check_password(request: Request, office: Office, *, email: str, password: str) -> Person | None:
    """Who has this address and password. Raises `TooManyAttempts`, for whoever exists or not."""
    now, origin = office.clock(), origin_of(request)
    account, address = service.account_of(email), Counted("address", origin.address)
    with office.database.transaction() as session:
        throttle.forget_old(session, at=now)
        throttle.count_attempt(session, address, at=now)
        throttle.count_attempt(session, account, at=now)
        person = service.find_by_email(session, email)
    may_sign_in = person is not None and person.disabled_at is None
    # The slow part, outside of any transaction. For nobody it is as slow.
    is_right = passwords.is_password(password, person.password_hash if person is not None and may_sign_in else None)
    with office.database.transaction() as session:
        if is_right:
            throttle.forgive(session, account)
            throttle.forgive(session, address)
        elif person is not None:
            occasion = Occasion(actor="browser", at=now)
            audit.write(session, occasion, "person.password_refused", person.id, address=origin.address)
    return person if is_right else None


def _signed_in(request: Request, office: Office, person: Person, level: Level, place: str) -> Response:
    """A fresh session, whatever the browser had before, and on to *place*."""
    with office.database.transaction() as session:
        person = service.require_person(session, person.id)
        sessions.end_session(session, request.cookies.get(COOKIE, ""))
        token = sessions.open_session(
            session, person, level, origin=origin_of(request), occasion=_occasion(office, person)
        )
    response = redirect(place)
    sign_in_browser(response, token)
    return response


def _half_signed_in(request: Request, office: Office, target: str) -> Visitor:
    """Whoever has shown a password and has a second factor to show. Sends everybody else where they belong."""
    visitor = find_visitor(request, office)
    if visitor is None:
        raise SeeOther(on_the_way(SIGN_IN, target))
    if visitor.session.level == Level.FULL or visitor.must_enrol:
        raise SeeOther(target)
    return visitor


def _sign_in_page(
    request: Request, office: Office, *, target: str, email: str = "", problem: str | None = None, status: int = 200
) -> Response:
    visit = visit_of(request)
    response = page(
        "sign_in.html",
        status=status,
        theme=theme_of(request),
        form_token=form_token_of(request, office, visit),
        email=email,
        problem=problem,
        next=target,
        has_sso=request.app.state.single_sign_on is not None,
    )
    keep_visit(response, visit)
    return response


def _code_page(
    request: Request, visitor: Visitor, *, target: str, problem: str | None = None, status: int = 200
) -> Response:
    return page(
        "code.html",
        status=status,
        theme=theme_of(request),
        form_token=visitor.form_token,
        problem=problem,
        next=target,
    )


def _invitation_page(
    request: Request, office: Office, token: str, *, problem: str | None = None, status: int = 200
) -> Response:
    with office.database.snapshot() as session:
        person = _require_invited(service.find_invited(session, token, at=office.clock()))
    visit = visit_of(request)
    response = page(
        "invitation.html",
        status=status,
        theme=theme_of(request),
        form_token=form_token_of(request, office, visit),
        person=person,
        token=token,
        problem=problem,
        characters_min=passwords.CHARACTERS_MIN,
    )
    keep_visit(response, visit)
    return response


def _require_invited(person: Person | None) -> Person:
    if person is None:
        raise InvitationEnded("this link was used before or is too old; ask for a new one")
    return person


def _sso(request: Request) -> SingleSignOn:
    single_sign_on = request.app.state.single_sign_on
    if single_sign_on is None:
        raise SignInRefused("there is no single sign-on here")
    assert isinstance(single_sign_on, SingleSignOn)
    return single_sign_on


def _occasion(office: Office, person: Person) -> Occasion:
    return Occasion(actor=f"person:{person.email}", at=office.clock())


def _minutes(seconds: int) -> str:
    if seconds > 86_400:
        return "a while, after an owner has reset it"
    if seconds == 1:
        return "a second"
    return f"{seconds} seconds" if seconds < 120 else f"{seconds // 60 + 1} minutes"
