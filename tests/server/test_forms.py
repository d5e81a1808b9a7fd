"""Every form of every page, found on the pages: hostile text in each of its fields, and nothing without its token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest
from narrows_server import audit
from narrows_server.customers.service import require_customer
from narrows_server.office import Office, open_office
from narrows_server.settings import Settings

from tests.demo.seed import seed
from tests.demo.story import PACIFIC

from .builders import Clock
from .people import Seat
from .test_console import NOW, crawl, post, seat_of

HOSTILE = (
    "<script>alert(1)</script>",
    "'; DROP TABLE customer; --",
    "{{ 7*7 }}\r\nSet-Cookie: __Host-narrows=stolen",
    "a\u202eb\x00c",
)
# Whoever sends these has nobody signed in any more, or another password.
LAST = ("/sign-out", "/account/password", "/account/sessions/end")


@dataclass(slots=True)
class Form:
    """A form of a page: where it goes, what people type into it, and what is chosen or set."""

    action: str
    texts: set[str] = field(default_factory=set)
    others: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag == "form" and known.get("method") == "post":
            self._open = Form(known["action"])
            self.found.append(self._open)
        elif self._open is not None and tag in ("input", "textarea", "select", "button") and known.get("name"):
            is_typed = tag in ("textarea", "select") or known.get("type", "text") not in ("hidden", "checkbox", "radio")
            if tag != "button" and is_typed:
                self._open.texts.add(known["name"])
            else:
                self._open.others.setdefault(known["name"], known.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        self._open = None if tag == "form" else self._open


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    home = tmp_path_factory.mktemp("forms") / "home"
    seed(home, now=NOW)
    with open_office(Settings.read({}, home=home), clock=Clock(NOW)) as office:
        yield office


@pytest.mark.parametrize("email", ["owner@narrows.example", PACIFIC.contact[1]], ids=["owner", "customer"])
def test_no_text_in_any_field_of_any_form_breaks_a_page(demo: Office, email: str) -> None:
    seat, tried = seat_of(demo, email), 0
    forms = forms_of(seat)
    assert len(forms) >= (15 if email.startswith("owner") else 5)
    for form in forms:
        for name in sorted(form.texts):
            for hostile in HOSTILE:
                answer = post(demo, seat, form.action, **{**form.others, name: hostile})
                assert answer.status_code < 500, (form.action, name, answer.text[:300])
                assert "stolen" not in answer.headers.get("set-cookie", ""), (form.action, name)
                assert "<script>alert" not in answer.text, (form.action, name)
                assert ">49<" not in answer.text, (form.action, name)
                tried += 1
    assert tried > 100 or not email.startswith("owner")
    with demo.database.snapshot() as session:
        assert require_customer(session, PACIFIC.id)
        assert audit.verify_chain(session).fault is None


def test_no_form_of_any_page_is_taken_without_its_token(demo: Office) -> None:
    seat = seat_of(demo, "owner@narrows.example")
    forms = forms_of(seat)
    with demo.database.snapshot() as session:
        before = len(audit.trail(session, limit=100_000))
    for form in forms:
        assert seat.post(form.action, {**form.others, "form_token": "0" * 64}).status_code == 403, form.action
        assert seat.post(form.action, {k: v for k, v in form.others.items() if k != "form_token"}).status_code == 403
    with demo.database.snapshot() as session:
        assert len(audit.trail(session, limit=100_000)) == before


def forms_of(seat: Seat) -> list[Form]:
    """One form of each kind of address, on any page; those that end the session are left out."""
    kinds: dict[str, Form] = {}
    for text in crawl(seat).values():
        page = _Forms()
        page.feed(text)
        for form in page.found:
            kind = re.sub(r"(?<=/)[^/]*[\d-][^/]*", "X", form.action)
            if form.action not in LAST:
                kinds.setdefault(kind, form)
    return [kinds[kind] for kind in sorted(kinds)]
