"""Pages from templates, with the headers that keep what is on them to whoever asked."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from narrows_licensing.entitlement import PIXELS_MAX
from narrows_licensing.verdict import explain

from narrows_server import __version__, wording
from narrows_server.console.theme import theme_of
from narrows_server.usage.standing import standing

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def short(text: str, characters: int = 16) -> str:
    """*text*, or its beginning: an id of an installation is long, and its beginning tells it apart."""
    return text if len(text) <= characters else f"{text[:characters]}…"


_templates = Environment(
    loader=PackageLoader("narrows_server.console"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(
    money=wording.money,
    volume=wording.volume,
    exact=wording.exact,
    per_cent=wording.per_cent,
    moment=wording.moment,
    month=wording.month,
    months_of=wording.months,
    days=wording.days,
    missing=wording.missing,
    standing=standing,
    explain=explain,
    version=__version__,
    day=wording.day,
    brief_day=wording.brief_day,
    who=wording.who,
    browser=wording.browser,
    metric=wording.metric,
    method=wording.method,
    major=wording.major,
    pixels_max=PIXELS_MAX,
    gigabytes=wording.gigabytes,
    short=short,
)


def page(name: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """The page of the template *name*."""
    return HTMLResponse(_templates.get_template(name).render(**values), status_code=status, headers=HEADERS)


def redirect(path: str) -> RedirectResponse:
    """See the page at *path*, whatever the method was."""
    return RedirectResponse(path, status_code=303, headers=HEADERS)


def notice(request: Request, *, status: int, title: str, detail: str) -> Response:
    """The page that says why there is no other."""
    return page(
        "notice.html",
        status=status,
        theme=theme_of(request),
        title=title,
        detail=detail,
        request_id=request.state.request_id,
    )
