"""The console and the portal: each page for whom it is, nothing of anybody else, foreign text only as text."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute
from narrows_metering.record import Kind
from narrows_server import app
from narrows_server.access.roles import Action, Role, permitted
from narrows_server.console.gate import PagePermit
from narrows_server.invoices import repository as invoices
from narrows_server.licenses import repository as licenses
from narrows_server.office import Office, open_office
from narrows_server.operation.backup import back_up
from narrows_server.operation.restore import restore
from narrows_server.people import service as people
from narrows_server.people import sessions
from narrows_server.proposals import service as proposals
from narrows_server.settings import DATABASE_VARIABLE, Settings
from narrows_server.statements import repository as statements
from narrows_server.statements import rollup
from narrows_server.usage import repository as usage

from tests.demo.seed import SIGN_INS, seed
from tests.demo.story import ALPINE, NORDLICHT, PACIFIC

from .builders import Browser, Clock
from .people import Seat, a_person, at_a_browser
from .postgres import Postgres

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
READ_ONLY_PATHS = ("/v1/installations", "/v1/licenses", "/v1/statements", "/v1/invoices", "/v1/audit")
FOR_STRANGERS = {"/sign-in", "/sign-in/code", "/sign-out", "/sign-in/sso", "/sign-in/sso/callback", "/invitation"}
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}"


class Page:
    """A page of the console and the permission that it takes; None for whoever is signed in."""

    def __init__(self, method: str, route: APIRoute) -> None:
        self.method, self.path = method, route.path
        permits = [one.call for one in route.dependant.dependencies if isinstance(one.call, PagePermit)]
        self.is_gated = bool(permits)
        self.action: Action | None = permits[0].action if permits else None

    def filled(self, ids: dict[str, str]) -> str:
        return re.sub(r"\{(\w+)\}", lambda name: ids.get(name[1], "no-such-thing"), self.path)


PAGES = [
    Page(method, route)
    for part in app.PAGES
    for route in part.router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods or ())
]
GATED = [page for page in PAGES if page.is_gated]


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's state folder."""
    home = tmp_path_factory.mktemp("seeded") / "home"
    seed(home, now=NOW)
    return home


@pytest.fixture(scope="module")
def seeded_on_postgresql(seeded: Path, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo's database moved to PostgreSQL, as an operator would."""
    folder = tmp_path_factory.mktemp("moved")
    with open_office(Settings.read({}, home=seeded)) as office:
        back_up(office.settings, office.database, folder / "server.backup", at=NOW)
    url = postgres.fresh_database()
    restore(folder / "server.backup", Settings.read({DATABASE_VARIABLE: url}, home=folder / "home"))
    return url


@pytest.fixture
def demo(database_kind: str, seeded: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Office]:
    home = Path(shutil.copytree(seeded, tmp_path / "demo"))
    url = ""
    if database_kind == "postgresql":
        url = request.getfixturevalue("postgres").copy_of(request.getfixturevalue("seeded_on_postgresql"))
    with open_office(Settings.read({DATABASE_VARIABLE: url}, home=home), clock=Clock(NOW)) as office:
        yield office


def seat_of(office: Office, email: str) -> Seat:
    with office.database.snapshot() as session:
        return at_a_browser(office, people.require_person(session, email))


def seats(office: Office) -> dict[Role, Seat]:
    """One seat of every role; the customer's is Alpine's."""
    return {one.role: seat_of(office, one.email) for one in SIGN_INS}


def post(office: Office, seat: Seat, path: str, **fields: str) -> httpx.Response:
    """Send a form as a page of ours would."""
    token = sessions.form_token(office.keyring.console_secret, seat.cookie)
    return seat.post(path, {"form_token": token, **fields})


def ids_of(office: Office, customer_id: str) -> dict[str, str]:
    """One of everything that belongs to a customer."""
    with office.database.snapshot() as session:
        installations = usage.list_installations(session, contract_id=f"{customer_id}-1")
        statement = statements.list_current(session, customer_id=customer_id)[0]
        return {
            "customer_id": customer_id,
            "contract_id": f"{customer_id}-1",
            "tariff_id": f"{customer_id}-cdn",
            "license_id": licenses.list_licenses_of(session, customer_id)[0].id,
            "installation_id": installations[0].id,
            "statement_id": statement.id,
            "asset": re.findall(r'"asset":"(\w+)"', statement.document)[0],
            "number": str(invoices.list_invoices(session, customer_id=customer_id)[0].number),
            "month": statement.period,
            "person_id": people.require_person(session, f"customer@{customer_id}.example").id,
            "proposal_id": proposals.list_undecided(session)[0].id,
        }


class TestStrangers:
    @pytest.mark.parametrize("path", READ_ONLY_PATHS)
    def test_a_stranger_reads_nothing(self, browser: Browser, path: str) -> None:
        answer = browser.get(path)

        assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_required")
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_every_page_is_gated_or_is_known_to_be_for_strangers(self) -> None:
        own = {"/account/second-factor"}  # Also for who has only that to do.
        assert {page.path for page in PAGES if not page.is_gated} == FOR_STRANGERS | own

    def test_style_scripts_and_mark_are_served(self, browser: Browser) -> None:
        assert browser.get("/static/console.css").headers["content-type"].startswith("text/css")
        for path in ("mark.svg", "charts.js", "menu.js", "vendor/htmx/htmx.min.js", "vendor/uplot/uPlot.iife.min.js"):
            assert browser.get(f"/static/{path}").status_code == 200


class TestWhoSeesWhat:
    def test_every_page_is_for_whom_the_table_of_permissions_says(self, demo: Office) -> None:
        for role, seat in seats(demo).items():
            for page in GATED:
                path, may = page.filled({}), page.action is None or page.action in permitted(role)
                if page.method == "GET":
                    answer = seat.get(path)
                    assert answer.status_code == (403 if not may else 404 if "{" in page.path else 200), (role, path)
                    continue
                refused = seat.post(path, {})
                assert refused.status_code == 403, (role, path)
                answer = post(demo, seat, path) if path != "/account/sessions/end" else refused
                assert (answer.status_code == 403) is (not may or answer is refused), (role, path, answer.text[-900:])

    def test_nothing_of_another_customer_exists(self, demo: Office) -> None:
        """Every page with an id of somebody else is the page with an id of nobody."""
        foreign = ids_of(demo, NORDLICHT.id)
        seat = seat_of(demo, ALPINE.contact[1])
        walked = 0
        for page in GATED:
            if "{" not in page.path or page.action not in permitted(Role.CUSTOMER) or "key_id" in page.path:
                continue
            path, nowhere = page.filled(foreign), page.filled({})
            asked = [seat.get(one) if page.method == "GET" else post(demo, seat, one) for one in (path, nowhere)]
            assert [one.status_code for one in asked] == [404, 404], path
            texts = [re.sub(r"<code>req_\w+</code>", "", unescape(one.text)) for one in asked]
            for value in sorted(foreign.values(), key=len, reverse=True):
                texts[0] = texts[0].replace(value, "no-such-thing")
            assert texts[0] == texts[1], path
            walked += 1
        assert walked >= 10

    def test_a_customers_pages_name_no_other_customer(self, demo: Office) -> None:
        for client, others in ((ALPINE, (NORDLICHT, PACIFIC)), (PACIFIC, (NORDLICHT, ALPINE))):
            seen = crawl(seat_of(demo, client.contact[1]))
            assert len(seen) > 15
            for path, text in seen.items():
                for other in others:
                    assert other.id not in text.lower(), (path, other.id)

    def test_a_draft_does_not_exist_for_its_customer(self, demo: Office) -> None:
        draft = f"{ALPINE.contract_id}.2026-10"
        assert seat_of(demo, "owner@narrows.example").get(f"/statements/{draft}").status_code == 200
        seat = seat_of(demo, ALPINE.contact[1])
        assert seat.get(f"/statements/{draft}").status_code == 404
        assert draft not in seat.get("/statements").text

    def test_every_link_on_every_page_leads_somewhere_that_its_reader_may_go(self, demo: Office) -> None:
        for one in SIGN_INS[:5]:
            assert len(crawl(seat_of(demo, one.email))) > 15, one.role


class TestPages:
    def test_an_empty_office_says_what_to_do_first(self, office: Office) -> None:
        seat = at_a_browser(office, a_person(office))
        for path, text in (
            ("/", "Add a customer"),
            ("/licenses", "No license has been issued"),
            ("/installations", "No installation has reported yet"),
            ("/statements", "No month has been closed"),
            ("/invoices", "No invoice has been issued"),
            ("/contracts", "There is no contract yet"),
        ):
            assert text in seat.get(path).text, path
        for claimed in ("last 0 months", "0 bytes", "Every installation reports"):
            assert claimed not in seat.get("/").text, claimed

    def test_what_was_lost_is_shown_as_such(self, demo: Office) -> None:
        page = seat_of(demo, PACIFIC.contact[1]).get(f"/statements/{ids_of(demo, PACIFIC.id)['statement_id']}").text

        assert 'class="amount loss">\u2212' in page
        assert "more than the baseline" in page

    def test_from_a_statement_one_comes_to_the_records_that_measured_one_asset(self, demo: Office) -> None:
        ids = ids_of(demo, PACIFIC.id)
        seat = seat_of(demo, PACIFIC.contact[1])
        path = f"/statements/{ids['statement_id']}/assets/{ids['asset']}"
        assert f'href="{path}"' in seat.get(f"/statements/{ids['statement_id']}").text
        page = seat.get(path).text

        told = re.findall(r'record (\d+) of <a href="/installations/([^"]+)">.*?Its hash</dt><dd><code>(\w+)<', page)
        with demo.database.snapshot() as session:
            records = [usage.get_record(session, installation_id, int(seq)) for seq, installation_id, _ in told]
        assert len(records) == page.count("Rendition <code>") > 0
        for record, (_, _, shown) in zip(records, told, strict=True):
            assert record is not None
            assert (record.kind, record.payload["asset"], record.hash) == (Kind.EVIDENCE, ids["asset"], shown)

    def test_a_cloned_installation_is_shown_as_forked(self, demo: Office) -> None:
        with demo.database.snapshot() as session:
            (forked,) = [one.installation.id for one in usage.overviews(session) if one.fork_count]
        seat = seat_of(demo, "owner@narrows.example")

        assert ">forked<" in seat.get("/installations").text
        assert "contradict" in seat.get(f"/installations/{forked}").text

    def test_what_touches_the_books_most_is_the_first_alert_on_the_front_page(self, demo: Office) -> None:
        page = seats(demo)[Role.OWNER].get("/").text
        shown = re.findall(r'<li><span class="word \w*">(\w+)</span>', re.sub(r">\s+<", "><", page))

        assert shown == ["fork", "gap", "silent", "expiring"]

    def test_the_chart_and_its_table_have_the_same_figures(self, demo: Office) -> None:
        page = seat_of(demo, "owner@narrows.example").get("/").text
        rows = re.findall(r'data-value="(\d+)">.*?</td><td class="number" data-value="(\d+)"', page)
        with demo.database.snapshot() as session:
            months = rollup.by_month(session).values()
            assert [(str(one.baseline_bytes), str(one.delivered_bytes)) for one in months] == rows

    def test_pages_are_well_formed_and_every_table_names_its_columns(self, demo: Office) -> None:
        for path, text in crawl(seat_of(demo, "owner@narrows.example")).items():
            outline = _Outline()
            outline.feed(text)
            assert outline.open_tags == [], path
            assert outline.headings.count("h1") == 1, path
            assert outline.header_cells_without_scope == 0, path
            assert outline.labelled <= outline.ids, path
            assert outline.labels <= outline.ids, path
            assert outline.doubled == set(), path

    def test_who_chose_dark_gets_dark(self, demo: Office) -> None:
        seat = seat_of(demo, "owner@narrows.example")
        answer = post(demo, seat, "/theme", theme="dark", next="/licenses")

        assert (answer.status_code, answer.headers["location"]) == (303, "/licenses")
        assert 'data-theme="dark"' in seat.get("/licenses").text
        post(demo, seat, "/theme", theme="<b>")
        assert 'data-theme="dark"' in seat.get("/licenses").text


class TestScripts:
    def test_no_page_runs_anything_that_is_not_a_file_of_ours(self, demo: Office) -> None:
        seat = seat_of(demo, "owner@narrows.example")
        for path, text in crawl(seat).items():
            assert not re.search(r"<script(?! src=\"/static/)", text), path
            assert not re.search(r"\s(on\w+|style)=\"", text), path
        policy = seat.get("/").headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy

    def test_foreign_text_is_shown_as_text_on_every_page(self, demo: Office) -> None:
        """Markup is put wherever a text from outside is kept, and every page is looked at."""
        ids, owner = ids_of(demo, ALPINE.id), seat_of(demo, "owner@narrows.example")
        customer = seat_of(demo, PACIFIC.contact[1])
        disputed = seat_of(demo, ALPINE.contact[1])

        def send(seat: Seat, path: str, **fields: str) -> None:
            answer = post(demo, seat, path, **fields)
            assert answer.status_code in (200, 303), (path, re.findall(r'role="alert">(.*?)<', answer.text))
            assert "<script>alert" not in answer.text

        send(owner, "/customers/new", name=EVIL, address=EVIL, id="evil", email="<b>@x")
        tariff = json.dumps({"name": EVIL, "currency": "EUR", "tiers": [{"price_per_gb": "1"}]})
        send(owner, "/tariffs/new", document=tariff, id="evil")
        patch = '{"payment_days": 20}'
        send(owner, f"/contracts/{ids['contract_id']}/amend", patch=patch, effective_on="2026-12-01", reason=EVIL)
        send(owner, "/licenses/new", contract="alpine-1", days="9", grace_days="1", applications="com.x")
        send(owner, f"/licenses/{ids['license_id']}/suspend", reason=EVIL)
        send(owner, f"/statements/{ALPINE.contract_id}.2026-10/send")
        send(disputed, f"/statements/{ALPINE.contract_id}.2026-10/dispute", reason=EVIL)
        send(owner, f"/invoices/{ids['number']}/payment", amount="1", received_on="2026-11-20", reference=EVIL)
        send(owner, f"/invoices/{ids['number']}/credit", reason=EVIL, name_again=ids["number"])
        send(owner, "/keys", name=EVIL, **{"scope-books:read": "1"})
        send(customer, "/keys", name=EVIL, **{"scope-licenses:read": "1"})
        send(owner, "/people", name=EVIL, email="evil@x.example", role="customer", customer_id="evil")
        found = 0
        for seat in (owner, customer, disputed):
            pages = crawl(seat) | {f"/audit?subject={EVIL}": seat.get(f"/audit?subject={'%3Cscript%3Ealert'}").text}
            for path, text in pages.items():
                assert "<script>alert" not in text, path
                assert "<img src=x" not in text, path
                assert "49" not in re.findall(r"alert\(2\)&gt;&#34;&#39;(\S{2})", text), path
                found += "&lt;script&gt;" in text
        assert found > 10

    def test_what_was_filled_in_wrong_comes_back_as_text(self, demo: Office) -> None:
        owner = seat_of(demo, "owner@narrows.example")
        for path, fields in (
            ("/customers/new", {"name": EVIL * 9}),
            ("/contracts/new", {"document": EVIL}),
            ("/tariffs/new", {"document": EVIL}),
            ("/licenses/new", {"contract": EVIL, "days": EVIL}),
            ("/people", {"name": EVIL, "email": EVIL, "role": EVIL}),
            ("/keys", {"name": EVIL * 9, "scope-books:read": "1"}),
        ):
            answer = post(demo, owner, path, **fields)
            assert answer.status_code in (404, 422), (path, answer.status_code)
            assert "<script>alert" not in answer.text, path
            assert 'role="alert"' in answer.text, path


def crawl(seat: Seat) -> dict[str, str]:
    """Every page that can be reached by links, a few of each kind; each has to be there."""
    seen: dict[str, str] = {}
    kinds: dict[str, int] = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop(0)
        if path in seen:
            continue
        answer = seat.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        seen[path] = answer.text
        for link in re.findall(r'(?:href|src)="(/[^"#]*)"', answer.text):
            link = unescape(link)
            if re.search(r"^/static|^/v1|/pdf|/file$|qr\.svg", link):
                continue
            kind = re.sub(r"(?<=/)[^/?]*[\d-][^/?]*|[?].*", "X", link)
            if link not in seen and kinds.get(kind, 0) < 3:
                kinds[kind] = kinds.get(kind, 0) + 1
                waiting.append(link)
    return seen


class _Outline(HTMLParser):
    """What a screen reader would stumble over."""

    EMPTY = frozenset({"meta", "link", "input", "rect", "path", "br", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open_tags: list[str] = []
        self.headings: list[str] = []
        self.header_cells_without_scope = 0
        self.ids: set[str] = set()
        self.doubled: set[str] = set()
        self.labelled: set[str] = set()
        self.labels: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in self.EMPTY:
            self.open_tags.append(tag)
        if tag in {"h1", "h2", "h3"}:
            self.headings.append(tag)
        self.header_cells_without_scope += tag == "th" and "scope" not in named
        if "id" in named:
            self.doubled |= {str(named["id"])} & self.ids
            self.ids.add(str(named["id"]))
        self.labelled |= {named["aria-labelledby"] or ""} if "aria-labelledby" in named else set()
        self.labels |= {named["for"] or ""} if "for" in named else set()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open_tags.pop() == tag
