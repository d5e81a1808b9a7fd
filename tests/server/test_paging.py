"""Every list that comes in pages is the same list whatever the size of its pages, in the API and in the console."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

from narrows_server.access.roles import Role
from narrows_server.alerts import service as alerts
from narrows_server.alerts.rules import Cause, Finding
from narrows_server.app import create_app
from narrows_server.audit import Occasion
from narrows_server.customers import service as customers
from narrows_server.invoices import repository as invoices
from narrows_server.licenses import proposals
from narrows_server.licenses.drafts import LicenseOrder, draft_new
from narrows_server.office import Office
from narrows_server.paging import PAGE_ROWS
from narrows_server.parties.party import Party
from narrows_server.payments import service as payments
from narrows_server.payments.service import Receipt
from narrows_server.statements import service as statements

from .api import Program, a_program
from .builders import NOVEMBER, NOW, Browser, Clock, a_contract, a_site, an_occasion, send, some_usage
from .people import a_person, at_a_browser
from .test_leases import ask, floating

CUSTOMERS = ("kanal", "other")


def lists(owner: Program) -> list[str]:
    """The paths that the description says come in pages."""
    paths = owner.get("/v1/openapi.json").json()["paths"]
    return [
        path
        for path, operations in paths.items()
        if any(one["name"] == "cursor" for one in operations.get("get", {}).get("parameters", []))
    ]


def two_of_everything(office: Office, clock: Clock, folder: Path) -> None:
    for customer_id in CUSTOMERS:
        a_contract(office, customer_id=customer_id, contract_id=f"{customer_id}-1")
        site = a_site(office, folder / customer_id, customer_id=customer_id, contract_id=f"{customer_id}-1")
        site.record(*some_usage())
        send(Browser(create_app(office)), site.report())
        a_person(office, email=f"{customer_id}@narrows.test")
        with office.database.transaction() as session:
            order = LicenseOrder(customer_id=customer_id, contract_id=f"{customer_id}-1")
            draft = draft_new(session, order, keyring=office.keyring, at=clock.at)
            proposals.propose(session, draft, occasion=Occasion(actor="admin:anna", at=clock.at))
    clock.advance(days=12)
    with office.database.transaction() as session:
        for customer_id in CUSTOMERS:
            statements.close(session, f"{customer_id}-1", NOVEMBER, occasion=an_occasion(clock.at))
            paid = Receipt(
                entity_id="vendor",
                customer_id=customer_id,
                currency="EUR",
                amount_minor=100,
                received_on=clock.at.date(),
            )
            payments.receive(session, paid, occasion=an_occasion(clock.at))
        alerts.check(session, at=clock.at)
        assert len(invoices.list_invoices(session)) == 2
    for holder in "ab":
        ask(Browser(create_app(office)), office, floating(office, 1).token, holder)


def test_the_pages_of_the_console_lead_from_one_to_the_next(office: Office) -> None:
    a_contract(office)
    names = [f"installation-{number:03}" for number in range(2 * PAGE_ROWS + 1)]
    found = [Finding(cause=Cause.SILENT, subject=one, customer_id="kanal", detail="", since=NOW) for one in names]
    with office.database.transaction() as session:
        alerts.reconcile(session, found, occasion=an_occasion(office.clock()))
    seat, path, shown = at_a_browser(office, a_person(office)), "/alerts", []
    while path:
        page = seat.get(path)
        assert page.status_code == 200, path
        shown.append(re.findall(r'href="/installations/(installation-\d+)"', page.text))
        older = re.search(r'class="pager"><a class="button" href="([^"]+)"', page.text)
        path = unescape(older[1]) if older else ""

    assert [len(page) for page in shown] == [PAGE_ROWS, PAGE_ROWS, 1]
    assert sorted(one for page in shown for one in page) == names


def test_what_is_not_in_the_order_of_time_does_not_lead_to_what_is_older(office: Office) -> None:
    with office.database.transaction() as session:
        for number in range(PAGE_ROWS + 1):
            party = Party(name=f"Customer {number:03}")
            customers.add_customer(session, party, customer_id=f"c{number}", occasion=an_occasion(office.clock()))
    first = at_a_browser(office, a_person(office)).get("/customers").text

    assert first.index("Customer 000") < first.index("Customer 049") < first.index(">More customers</a>")
    assert "Customer 050" not in first
    assert ">Older<" not in first


def test_a_list_is_the_same_in_pages_of_one(office: Office, clock: Clock, tmp_path: Path) -> None:
    two_of_everything(office, clock, tmp_path)
    owner = a_program(office)
    a_program(office, Role.AUDITOR)
    made = [owner.post("/v1/webhooks", {"url": "https://hooks.test/"}).json()["id"] for _ in CUSTOMERS]
    for _ in CUSTOMERS:
        owner.post(f"/v1/webhooks/{made[0]}/test")
    for path in lists(owner):
        filled = path.replace("{webhook_id}", made[0])
        whole = owner.items(f"{filled}?limit=500")
        assert len(whole) > 1, f"put two of these into the office above: {path}"
        assert owner.items(f"{filled}?limit=1") == whole, path
        assert len({str(one) for one in whole}) == len(whole), path
