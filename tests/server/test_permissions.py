"""
Every endpoint is asked as every role and with everybody else's ids: who may not is refused, and what is foreign is not
there.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from narrows_metering.terms import Period
from narrows_server import app
from narrows_server.access.roles import PEOPLE_ONLY, Action, Role, permitted
from narrows_server.alerts import service as alerts
from narrows_server.app import create_app
from narrows_server.description import Endpoint
from narrows_server.invoices import repository as invoices
from narrows_server.licenses import proposals
from narrows_server.licenses.drafts import LicenseOrder, draft_new
from narrows_server.office import Office
from narrows_server.payments import service as payments
from narrows_server.payments.service import Receipt
from narrows_server.people.models import Person
from narrows_server.people.service import find_by_email
from narrows_server.statements import service as statements

from .api import Program, a_key, a_program, every_endpoint
from .builders import Browser, Clock, a_contract, a_license, a_site, an_occasion, send, some_usage
from .people import FORM, Seat, a_person, at_a_browser

# Each proves itself by a signature or a license in its body, or is for everybody who has a receipt.
OPEN = {
    "/v1/reports",
    "/v1/leases",
    "/v1/leases/give-back",
    "/v1/license-log",
    "/v1/log/head",
    "/v1/log/inclusion",
    "/v1/log/consistency",
}
ENDPOINTS = [endpoint for endpoint in every_endpoint() if endpoint.action is not None]
NOVEMBER = Period(year=2026, month=11)


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def test_an_endpoint_takes_a_permission_or_is_known_to_need_none() -> None:
    assert {endpoint.path for endpoint in every_endpoint() if endpoint.action is None} == OPEN


def test_the_endpoints_that_are_asked_here_are_those_of_the_description(office: Office) -> None:
    described = {
        (method.upper(), path, operation.get("x-narrows-permission"))
        for path, operations in Browser(create_app(office)).get("/v1/openapi.json").json()["paths"].items()
        for method, operation in operations.items()
    }

    asked = {(endpoint.method, endpoint.path, endpoint.action) for endpoint in every_endpoint()}
    assert described - asked == {("GET", "/health", None)}
    assert asked <= described


def test_what_changes_something_is_never_a_get_and_the_other_way_round() -> None:
    for endpoint in ENDPOINTS:
        assert endpoint.changes is (endpoint.method != "GET"), name_of(endpoint)
        if endpoint.method == "GET":
            assert str(endpoint.action).endswith((":read", ":download")), name_of(endpoint)


PAGES = [
    (method, route.path)
    for part in app.PAGES
    for route in part.router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods or ())
]
# Whoever has no session sees these: they are how one gets one.
FOR_STRANGERS = {"/sign-in", "/sign-in/sso", "/sign-in/sso/callback", "/invitation"}


def test_every_endpoint_answers_each_person_and_each_program_as_the_table_says(office: Office) -> None:
    """One test for all: making the people is most of the work."""
    a_contract(office)
    stranger = Browser(create_app(office))
    for endpoint in ENDPOINTS:
        path = filled(endpoint.path, "no-such-thing")
        assert stranger.ask(endpoint.method, path, b"{}", {}).status_code == 401, path
    for role in Role:
        customer_id = "kanal" if role is Role.CUSTOMER else None
        program = a_program(office, role, customer_id=customer_id)
        seat = at_a_browser(office, a_person_of(office, role, customer_id))
        for endpoint in ENDPOINTS:
            assert endpoint.action is not None
            path = filled(endpoint.path, "no-such-thing")
            answer = program.send(endpoint.method, path, {})
            may = endpoint.action in permitted(role) - PEOPLE_ONLY
            assert (answer.status_code == 403) is not may, (role, path, answer.text)

            answer = seat.send(office, endpoint.method, path)
            assert (answer.status_code == 403) is not (endpoint.action in permitted(role)), (role, path, answer.text)


def test_every_page_sends_strangers_away_and_shows_itself_to_whom_it_is_for(office: Office) -> None:
    a_contract(office)
    stranger = Seat(create_app(office))
    for method, path in PAGES:
        answer = stranger.browser.ask(method, path, b"", {"Content-Type": FORM})
        if method == "POST":
            assert answer.status_code in {303, 403}, path  # Without the token of a form that was shown.
        elif path not in FOR_STRANGERS:
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in"), path
    for role in Role:
        seat = at_a_browser(office, a_person_of(office, role, "kanal" if role is Role.CUSTOMER else None))
        assert seat.get("/account").status_code == 200
        front = seat.get("/")
        assert front.status_code == 200, role
        assert "Testfox" not in front.text


def a_person_of(office: Office, role: Role, customer_id: str | None) -> Person:
    """The person with this role, made when first asked for."""
    with office.database.snapshot() as session:
        person = find_by_email(session, f"{role.value}@narrows.test")
    return person or a_person(office, role, customer_id=customer_id)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
def test_no_scope_but_its_own_opens_an_endpoint(office: Office, endpoint: Endpoint) -> None:
    assert endpoint.action is not None
    others = frozenset(Action) - PEOPLE_ONLY - {endpoint.action}
    program = Program(create_app(office), a_key(office, others))
    answer = program.send(endpoint.method, filled(endpoint.path, "no-such-thing"), {})

    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")


class Books:
    """An office in which the customer `kanal` has one of everything, and `other` is another customer."""

    def __init__(self, office: Office, folder: Path) -> None:
        self.office = office
        a_contract(office)
        a_contract(office, customer_id="other", contract_id="other-1")
        site = a_site(office, folder / "site")
        site.record(*some_usage())
        send(Browser(create_app(office)), site.report())
        self.ids = {
            "installation_id": site.installation_id,
            "license_id": a_license(office)[0],
            "contract_id": "kanal-1",
            "tariff_id": "kanal-1-tariff",
            "month": "2026-11",
        }
        self.ids["person_id"] = a_person_of(office, Role.CUSTOMER, "kanal").id
        with office.database.transaction() as session:
            order = LicenseOrder(customer_id="kanal", contract_id="kanal-1")
            draft = draft_new(session, order, keyring=office.keyring, at=office.clock())
            self.ids["proposal_id"] = proposals.propose(session, draft, occasion=an_occasion(office.clock())).id
        own = a_program(office, Role.CUSTOMER, customer_id="kanal")
        self.ids["key_id"] = own.items("/v1/api-keys")[0]["id"]
        self.ids["webhook_id"] = own.post("/v1/webhooks", {"url": "https://hooks.test/"}).json()["id"]
        self.ids["delivery_id"] = own.post(f"/v1/webhooks/{self.ids['webhook_id']}/test").json()["id"]
        self.close()
        with office.database.transaction() as session:
            self.ids["alert_id"] = alerts.check(session, at=office.clock()).opened[0].id

    def close(self) -> None:
        clock = self.office.clock
        assert isinstance(clock, Clock)
        clock.advance(days=12)
        with self.office.database.transaction() as session:
            statements.close(session, "kanal-1", NOVEMBER, occasion=an_occasion(clock.at))
            (invoice,) = invoices.list_invoices(session)
            self.ids["statement_id"] = str(invoice.statement_id)
            self.ids["number"] = str(invoice.number)
            self.ids["customer_id"] = "kanal"
            receipt = Receipt(
                entity_id="vendor",
                customer_id="kanal",
                currency="EUR",
                amount_minor=100,
                received_on=clock.at.date(),
            )
            self.ids["payment_id"] = payments.receive(session, receipt, occasion=an_occasion(clock.at)).id


@pytest.fixture
def books(office: Office, tmp_path: Path) -> Books:
    return Books(office, tmp_path)


BODIES = {"accept": {"note": "by telephone"}, "dispute": {"reason": "a day is missing"}}
# Whatever removes a thing comes last.
BY_ID = sorted((e for e in ENDPOINTS if "{" in e.path), key=lambda e: (e.method == "DELETE", e.path, e.method))


def test_every_foreign_id_is_not_found_and_the_owner_finds_it(books: Books) -> None:
    """
    Walks all endpoints in one test: making the books is most of the work.

    What no customer may do is refused in the same words whether the thing is there or not.
    """
    customer = a_program(books.office, Role.CUSTOMER, customer_id="kanal")
    stranger = a_program(books.office, Role.CUSTOMER, customer_id="other")
    vendor = a_program(books.office, Role.OWNER)
    for endpoint in BY_ID:
        path = endpoint.path.format_map(books.ids)  # A KeyError here: put the new thing into the books above.
        if endpoint.action not in permitted(Role.CUSTOMER):
            answers = [
                stranger.send(endpoint.method, one, {}) for one in (path, filled(endpoint.path, "no-such-thing"))
            ]
            assert [one.status_code for one in answers] == [403, 403], path
            assert answers[0].json()["detail"] == answers[1].json()["detail"], path
            continue
        body = BODIES.get(endpoint.path.rpartition("/")[2])
        foreign = stranger.send(endpoint.method, path, body)
        unknown = stranger.send(endpoint.method, filled(endpoint.path, "no-such-thing"), body)
        assert foreign.status_code == unknown.status_code == 404, (path, foreign.text)
        assert foreign.json()["detail"].replace(path.split("/")[3], "no-such-thing") == unknown.json()["detail"]
        found = customer.send(endpoint.method, path, body)
        # What the owner may ask for may still not follow from where the thing stands.
        assert found.status_code in {200, 204, 422} or found.json()["code"] == "step_not_possible", (path, found.text)
        if endpoint.method == "GET":
            assert vendor.get(path).status_code == 200, path


def test_every_list_shows_a_customer_its_own_and_nothing_else(books: Books) -> None:
    customer = a_program(books.office, Role.CUSTOMER, customer_id="kanal")
    stranger = a_program(books.office, Role.CUSTOMER, customer_id="other")
    for endpoint in ENDPOINTS:
        if endpoint.method != "GET" or "{" in endpoint.path or endpoint.action not in permitted(Role.CUSTOMER):
            continue
        if endpoint.path == "/v1/api-keys":
            assert {key["customer_id"] for key in stranger.items(endpoint.path)} == {"other"}
            continue
        assert stranger.items(endpoint.path) == [], endpoint.path
        if endpoint.path not in MAY_BE_EMPTY:
            assert customer.items(endpoint.path), endpoint.path


MAY_BE_EMPTY = {"/v1/leases"}


def filled(path: str, value: str) -> str:
    """*path* with *value* for every parameter."""
    while "{" in path:
        path = path[: path.index("{")] + value + path[path.index("}") + 1 :]
    return path
