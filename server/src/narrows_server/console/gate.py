"""
Who may see a page, and which forms are taken.

    visitor: Annotated[Visitor, showing(Action.LICENSES_READ)]   a page, for whoever may
    form: Posted                                                 what was filled in, on a page of ours

A form proves where it comes from twice: by a token that only a page shown to this browser holds, and, where the browser
says so, by its origin.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import Depends, Query, Request
from fastapi.responses import Response

from narrows_server.access.roles import Action
from narrows_server.errors import FormRefused, Invalid
from narrows_server.office import Office
from narrows_server.people import sessions
from narrows_server.people.sessions import COOKIE, VISIT_COOKIE, Origin
from narrows_server.people.visitor import Visitor, find_visitor
from narrows_server.web import OfficeOf

FORM_BYTES_MAX = 16_384
FORM_FIELDS_MAX = 50
FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field
SIGN_IN, CODE, SECOND_FACTOR = "/sign-in", "/sign-in/code", "/account/second-factor"
_FORM_TYPE = "application/x-www-form-urlencoded"


class SeeOther(Exception):
    """Another page comes first."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class PagePermit:
    """Shows a page to who may take *action*, or to everybody who is signed in; sends others to sign in."""

    def __init__(self, action: Action | None) -> None:
        self.action = action

    def __call__(self, request: Request, office: OfficeOf) -> Visitor:
        visitor = find_visitor(request, office)
        if visitor is None:
            raise SeeOther(on_the_way(SIGN_IN, asked_for(request)))
        if not visitor.is_complete:
            raise SeeOther(on_the_way(SECOND_FACTOR if visitor.must_enrol else CODE, asked_for(request)))
        if self.action is not None:
            visitor.caller.require(self.action)
        return visitor


def showing(action: Action | None) -> Any:
    """For `Annotated[Visitor, showing(…)]`: whoever may take *action*; with None, whoever is signed in."""
    return Depends(PagePermit(action))


async def read_form(request: Request, office: OfficeOf) -> Mapping[str, str]:
    """What was filled in. Raises `FormRefused` unless it comes from a page that was shown to this browser."""
    require_own_origin(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
        raise FormRefused("this is not a form")
    body = await request.body()
    if len(body) > FORM_BYTES_MAX:
        raise Invalid(f"a form has at most {FORM_BYTES_MAX} bytes")
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
    except ValueError as error:
        raise Invalid("the form cannot be read") from error
    form = {name: values[0] for name, values in fields.items()}
    cookie = request.cookies.get(COOKIE) or request.cookies.get(VISIT_COOKIE, "")
    if not sessions.is_form_token(office.keyring.console_secret, cookie, form.pop(FORM_TOKEN, "")):
        raise FormRefused("the page was open for too long or in another window; load it again")
    return form


Posted = Annotated[Mapping[str, str], Depends(read_form)]
Target = Annotated[str, Query(max_length=500)]


def require_own_origin(request: Request) -> None:
    """Raises `FormRefused` if the browser says that another site sends this."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise FormRefused("this was sent by another site")
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise FormRefused("this was sent by another site")


def visit_of(request: Request) -> str:
    """The token of a browser that is not signed in; a fresh one if it has none."""
    return request.cookies.get(VISIT_COOKIE) or secrets.token_urlsafe(32)


def form_token_of(request: Request, office: Office, visit: str) -> str:
    """What the forms of a page carry that is shown to this browser, signed in or not."""
    return sessions.form_token(office.keyring.console_secret, request.cookies.get(COOKIE) or visit)


def keep_visit(response: Response, visit: str) -> None:
    """Let the browser remember its visit."""
    response.set_cookie(VISIT_COOKIE, visit, path="/", secure=True, httponly=True, samesite="lax")


def sign_in_browser(response: Response, token: str) -> None:
    """Let the browser remember its session. A browser keeps `__Host-` cookies only from https or its own machine."""
    lifetime = int(sessions.LIFETIME_MAX.total_seconds())
    response.set_cookie(COOKIE, token, max_age=lifetime, path="/", secure=True, httponly=True, samesite="lax")
    response.delete_cookie(VISIT_COOKIE, path="/", secure=True, httponly=True, samesite="lax")


def sign_out_browser(response: Response) -> None:
    """Let the browser forget its session."""
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")


def origin_of(request: Request) -> Origin:
    """Where the browser is."""
    agent = "".join(character for character in request.headers.get("user-agent", "") if character.isprintable())
    return Origin(address=request.client.host if request.client else "unknown", agent=agent)


def asked_for(request: Request) -> str:
    """The page that somebody wants to see, with its query; the front page for whoever sent a form."""
    if request.method != "GET":
        return "/"
    return own_path(request.url.path + (f"?{request.url.query}" if request.url.query else ""))


def on_the_way(step: str, target: str) -> str:
    """The page of *step*, a part of signing in, that leads on to *target*."""
    return step if target == "/" else f"{step}?next={quote(target)}"


def own_path(target: str) -> str:
    """*target* if it is a path of this site; the front page otherwise."""
    is_own = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_own and "\\" not in target and len(target) <= 500 else "/"
