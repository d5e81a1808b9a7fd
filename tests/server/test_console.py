"""The console: closed to strangers, complete for people, safe to show foreign text in."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from narrows_licensing.verdict import EXPLANATIONS, Reason
from narrows_server.contracts import service as contracts
from narrows_server.contracts.contract_document import ContractDocument
from narrows_server.contracts.reading import check_document
from narrows_server.customers import service as customers
from narrows_server.licenses import service as licenses
from narrows_server.office import Office
from narrows_server.parties.party import Party
from narrows_server.statements import service as statements
from narrows_server.usage import repository

from .builders import NOVEMBER, Browser, Site, a_license, an_occasion, send, some_contract, some_usage
from .people import a_person, at_a_browser

DECEMBER_FOURTH = datetime(2026, 12, 4, 6, tzinfo=UTC)
READ_ONLY_PATHS = (
    "/v1/installations",
    "/v1/licenses",
    "/v1/statements",
    "/v1/invoices",
    "/v1/invoices/INV-2026-000001/pdf",
)


@pytest.fixture
def signed_in(office: Office) -> Browser:
    return at_a_browser(office, a_person(office)).browser


class TestStrangers:
    @pytest.mark.parametrize("path", READ_ONLY_PATHS)
    def test_a_stranger_reads_nothing(self, browser: Browser, path: str) -> None:
        answer = browser.get(path)

        assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_required")
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_a_stranger_is_sent_to_sign_in(self, browser: Browser, site: Site) -> None:
        answer = browser.get("/")

        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert "kanal" not in browser.get("/sign-in").text

    def test_who_is_signed_in_opens_the_console_and_what_it_links_to(self, signed_in: Browser) -> None:
        assert "Overview" in signed_in.get("/").text
        assert signed_in.get("/v1/licenses").status_code == 200


class TestOverview:
    def test_an_empty_office_says_what_to_do_first(self, signed_in: Browser) -> None:
        page = signed_in.get("/").text

        assert "No license has been issued" in page
        assert "No installation has reported yet" in page
        assert "No month has been closed" in page

    def test_everything_from_license_to_invoice_is_on_the_page(
        self, office: Office, signed_in: Browser, site: Site
    ) -> None:
        site.record(*some_usage())
        send(signed_in, site.report())
        with office.database.transaction() as session:
            statements.close(session, "kanal-1", NOVEMBER, occasion=an_occasion(DECEMBER_FOURTH))
        page = signed_in.get("/").text

        for text in ("Kanal Fünf AB", site.installation_id, "November 2026", "200.0 GB", "EUR 2.00", "invoice.issued"):
            assert text in page
        assert 'href="/v1/invoices/INV-2026-000001/pdf"' in page
        assert signed_in.get("/v1/invoices/INV-2026-000001/pdf").content.startswith(b"%PDF-")

    def test_a_month_that_is_held_is_shown_with_its_reason(
        self, office: Office, signed_in: Browser, site: Site
    ) -> None:
        with office.database.transaction() as session:
            statements.close(session, "kanal-1", NOVEMBER, occasion=an_occasion())

        assert "the month is not over" in signed_in.get("/").text

    def test_a_license_that_does_not_work_is_shown_with_the_words_that_its_owner_reads(
        self, office: Office, signed_in: Browser, site: Site
    ) -> None:
        license_id, _ = a_license(office)
        with office.database.transaction() as session:
            licenses.suspend(session, license_id, keyring=office.keyring, occasion=an_occasion())

        assert EXPLANATIONS[Reason.SUSPENDED].sentence in signed_in.get("/").text

    def test_a_cloned_installation_is_shown_as_forked(
        self, office: Office, signed_in: Browser, site: Site, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        clone = site.clone(tmp_path_factory.mktemp("clones") / "clone")
        site.record(*some_usage())
        clone.record(*some_usage(delivered=1))
        send(signed_in, site.report())
        send(signed_in, clone.report())

        assert "forked" in signed_in.get("/").text
        with office.database.snapshot() as session:
            assert [overview.fork_count for overview in repository.overviews(session)] == [1]

    def test_a_name_with_markup_is_shown_as_text(self, office: Office, signed_in: Browser, site: Site) -> None:
        with office.database.transaction() as session:
            party = Party(name="<script>alert(1)</script>")
            customers.add_customer(session, party, customer_id="script", occasion=an_occasion())
            terms = check_document(ContractDocument, some_contract(customer="script"), what="contract")
            contracts.add_contract(session, terms, contract_id="script-1", occasion=an_occasion())
        a_license(office, customer_id="script", contract_id="script-1")
        page = signed_in.get("/")

        assert "&lt;script&gt;" in page.text
        assert "<script" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]

    def test_the_page_is_well_formed_and_every_table_names_its_columns(self, signed_in: Browser, site: Site) -> None:
        site.record(*some_usage())
        send(signed_in, site.report())
        outline = _Outline()
        outline.feed(signed_in.get("/").text)

        assert outline.open_tags == []
        assert outline.headings[0] == "h1"
        assert outline.headings.count("h1") == 1
        assert outline.header_cells_without_scope == 0
        assert outline.labelled <= outline.ids
        assert outline.links_within <= outline.ids

    def test_style_and_mark_are_served(self, browser: Browser) -> None:
        assert browser.get("/static/console.css").headers["content-type"].startswith("text/css")
        assert browser.get("/static/mark.svg").status_code == 200


class _Outline(HTMLParser):
    """What a screen reader would stumble over."""

    EMPTY = frozenset({"meta", "link", "input", "rect", "path", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open_tags: list[str] = []
        self.headings: list[str] = []
        self.header_cells_without_scope = 0
        self.ids: set[str] = set()
        self.labelled: set[str] = set()
        self.links_within: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in self.EMPTY:
            self.open_tags.append(tag)
        if tag in {"h1", "h2", "h3"}:
            self.headings.append(tag)
        self.header_cells_without_scope += tag == "th" and "scope" not in named
        self.ids |= {named["id"] or ""} if "id" in named else set()
        self.labelled |= {named["aria-labelledby"] or ""} if "aria-labelledby" in named else set()
        target = named.get("href") or ""
        self.links_within |= {target[1:]} if target.startswith("#") else set()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open_tags.pop() == tag
