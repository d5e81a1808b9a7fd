"""How somebody wants the pages: light, dark, or as their system has it. Remembered by the browser, signed in or not."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

COOKIE = "narrows-theme"
THEMES = ("auto", "light", "dark")
_SECONDS = 365 * 86_400


def theme_of(request: Request) -> str:
    """What the browser of this request was told last."""
    chosen = request.cookies.get(COOKIE, "auto")
    return chosen if chosen in THEMES else "auto"


def keep_theme(response: Response, chosen: str) -> None:
    """Let the browser remember *chosen*, if there is such a theme."""
    if chosen in THEMES:
        response.set_cookie(COOKIE, chosen, max_age=_SECONDS, path="/", secure=True, httponly=True, samesite="lax")
