"""
What an attacker would try at the server, from outside and from within. `docs/explanation/security.md` names these.

Sessions, forms and passwords are in `test_sign_in`, permissions and foreign ids in `test_permissions`, single sign-on
in `test_sso`, addresses of webhooks in `test_webhooks`, API keys in `test_api_keys`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute
from narrows_server import audit, problems
from narrows_server.access.models import ApiKey
from narrows_server.access.roles import PEOPLE_ONLY, PERMISSIONS, Action, Role, permitted
from narrows_server.app import create_app
from narrows_server.customers import service as customers
from narrows_server.office import Office
from narrows_server.parties.party import Party
from narrows_server.people import service
from pydantic import BaseModel
from sqlalchemy import select

from .api import Program, a_key, a_program, every_endpoint
from .builders import Browser, a_contract, a_license, an_occasion
from .people import Seat, a_person, at_a_browser

HOSTILE = {
    "html": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "template": "{{ 7*7 }}{% include 'frame.html' %}",
    "sql": "'; DROP TABLE customer; --",
    "sql union": "' UNION SELECT password_hash FROM person --",
    "header": "a\r\nSet-Cookie: __Host-narrows=stolen",
    "formula": '=HYPERLINK("http://evil.test","x")',
    "path": "../../../../etc/passwd",
    "nul": "a\x00b",
    "override": "abc\u202egnp.exe",
    "format": "%s%s%n{0.__class__}",
}


def text_fields() -> Iterator[tuple[str, str, dict[str, object], str]]:
    """Every text in the body of every operation: method, path, an example body, and the field."""
    for endpoint in every_endpoint():
        dependant = endpoint.route.dependant
        for parameter in dependant.body_params:
            model = parameter.field_info.annotation
            if isinstance(model, type) and issubclass(model, BaseModel):
                example = model.model_json_schema().get("examples", [{}])[0]
                for name, info in model.model_fields.items():
                    if "str" in str(info.annotation):
                        yield endpoint.method, endpoint.path, dict(example), name


FIELDS = list(text_fields())


class TestInjection:
    def test_there_are_text_fields_to_try(self) -> None:
        assert len(FIELDS) > 10

    @pytest.mark.parametrize("what", HOSTILE)
    def test_no_text_in_any_body_breaks_an_endpoint_or_the_answers_header(self, office: Office, what: str) -> None:
        a_contract(office)
        program, seat = a_program(office), at_a_browser(office, a_person(office))
        for method, path, example, field in FIELDS:
            filled = path
            while "{" in filled:
                filled = filled[: filled.index("{")] + "no-such-thing" + filled[filled.index("}") + 1 :]
            body = json.dumps({**example, field: HOSTILE[what]}).encode()
            for answer in (
                program.send(method, filled, {**example, field: HOSTILE[what]}),
                seat.send(office, method, filled, body),
            ):
                assert answer.status_code < 500, (path, field, answer.text)
                assert "stolen" not in answer.headers.get("set-cookie", ""), (path, field)
                if answer.content:
                    assert answer.headers["content-type"] in {"application/json", problems.MEDIA_TYPE}, (path, field)
        with office.database.snapshot() as session:
            assert customers.require_customer(session, "kanal")
            assert audit.verify_chain(session).fault is None

    @pytest.mark.parametrize("what", HOSTILE)
    def test_no_text_in_a_path_or_a_query_breaks_an_endpoint(self, office: Office, what: str) -> None:
        program = a_program(office)
        hostile = quote(HOSTILE[what], safe="")
        for endpoint in every_endpoint():
            path = endpoint.path
            while "{" in path:
                path = path[: path.index("{")] + hostile + path[path.index("}") + 1 :]
            # One at a time: the first that is refused would hide the others.
            for name in ("", *(parameter.alias for parameter in endpoint.route.dependant.query_params)):
                answer = program.send(endpoint.method, f"{path}?{name}={hostile}" if name else path, {})
                assert answer.status_code < 500, (endpoint.path, name, answer.text)
                assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize("what", ["html", "attribute", "template", "sql", "override", "format", "formula"])
    def test_what_people_wrote_is_text_on_every_page(self, office: Office, what: str) -> None:
        name = HOSTILE[what]
        with office.database.transaction() as session:
            # Where it comes in, it may be refused; it is written past that here.
            customer = customers.add_customer(session, Party(name="x"), customer_id="hostile", occasion=an_occasion())
            customer.name = name
        a_contract(office, customer_id="other", contract_id="other-1")
        a_license(office, customer_id="other", contract_id="other-1")
        person = a_person(office)
        with office.database.transaction() as session:
            service.require_person(session, person.id).name = name
        seat = at_a_browser(office, person)
        for path in ("/", "/account"):
            page = seat.get(path)
            assert page.status_code == 200
            assert "<script>alert" not in page.text
            assert "<img src=x" not in page.text
            assert what != "template" or "{{ 7*7 }}" in page.text

    def test_a_wrong_address_comes_back_as_text(self, office: Office) -> None:
        seat = Seat(create_app(office))
        page = seat.submit("/sign-in", {"email": HOSTILE["attribute"], "password": "x", "next": HOSTILE["html"]})

        assert page.status_code == 401
        assert "<img" not in page.text
        assert "<script" not in page.text

    def test_no_cell_of_an_export_is_a_formula(self, office: Office) -> None:
        with office.database.transaction() as session:
            for text in ("=1+1", "+1", "-1", "@x", "\tx", "\rx"):
                audit.write(session, an_occasion(), "tested", text, note=text)
        rows = csv.reader(io.StringIO(a_program(office).get("/v1/audit/export?format=csv").text))

        assert not [cell for row in rows for cell in row if cell[:1] in set("=+-@\t\r")]

    @pytest.mark.parametrize("address", ["a@b.test\r\nBcc: c@d.test", "a@b.test\nX: 1", "a@b.test\x00"])
    def test_an_address_holds_no_second_header(self, office: Office, address: str) -> None:
        seat = at_a_browser(office, a_person(office))
        order = {"email": address, "name": "A", "role": "owner"}

        assert seat.send(office, "POST", "/v1/people", json.dumps(order).encode()).status_code == 422


class TestStepsUp:
    def test_no_role_but_the_owner_gives_roles_or_keys(self) -> None:
        for role in set(Role) - {Role.OWNER, Role.CUSTOMER}:
            assert not permitted(role) & {Action.PEOPLE_WRITE, Action.API_KEYS_WRITE}, role

    def test_an_auditor_changes_nothing(self) -> None:
        assert all(action.value.endswith(":read") for action in permitted(Role.AUDITOR))

    def test_a_customer_may_nothing_that_is_not_narrowed_to_it(self) -> None:
        vendor_only = {
            Action.AUDIT_READ,
            Action.PEOPLE_READ,
            Action.PEOPLE_WRITE,
            Action.PROPOSALS_READ,
            Action.PROPOSALS_DECIDE,
            Action.CONTRACTS_WRITE,
            Action.LICENSES_WRITE,
            Action.INVOICES_WRITE,
            Action.BOOKS_WRITE,
            Action.STATEMENTS_WRITE,
        }
        assert not PERMISSIONS[Role.CUSTOMER] & vendor_only

    def test_a_key_makes_no_key_that_may_more_however_often_it_is_handed_on(self, office: Office) -> None:
        key = a_key(office, {Action.API_KEYS_WRITE, Action.INVOICES_READ})
        for _ in range(3):
            program = Program(create_app(office), key)
            order: dict[str, object] = {"name": "n", "scopes": ["api_keys:write", "invoices:read"]}
            made = program.post("/v1/api-keys", order)
            assert made.status_code == 201
            key = made.json()["key"]
            refused = program.post("/v1/api-keys", {"name": "n", "scopes": ["audit:read"]})
            assert refused.status_code == 403

    def test_a_key_rotates_no_key_that_may_more(self, office: Office) -> None:
        strong = a_program(office).post("/v1/api-keys", {"name": "n", "scopes": ["audit:read"]}).json()
        weak = Program(create_app(office), a_key(office, {Action.API_KEYS_WRITE}))

        assert weak.post(f"/v1/api-keys/{strong['id']}/rotate").status_code == 403

    def test_a_key_of_a_customer_never_becomes_one_of_the_vendor(self, office: Office) -> None:
        a_contract(office)
        customer = a_program(office, Role.CUSTOMER, customer_id="kanal")
        made = customer.post("/v1/api-keys", {"name": "n", "scopes": ["invoices:read"], "customer_id": None}).json()

        assert made["customer_id"] == "kanal"

    def test_no_scope_that_takes_a_person_works_with_a_key_even_if_the_database_says_so(self, office: Office) -> None:
        key = a_key(office, {Action.AUDIT_READ})
        with office.database.transaction() as session:
            row = session.scalars(select(ApiKey).where(ApiKey.prefix == key[:10])).one()
            row.scopes = " ".join(sorted(PEOPLE_ONLY))
        order = {"email": "a@b.test", "name": "A", "role": "owner"}

        assert Program(create_app(office), key).post("/v1/people", order).status_code == 403

    def test_a_role_that_is_taken_away_is_gone_at_once(self, office: Office) -> None:
        a_person(office, email="other@narrows.test")
        person = a_person(office)
        seat = at_a_browser(office, person)
        assert seat.browser.get("/v1/audit").status_code == 200
        with office.database.transaction() as session:
            service.change_role(
                session, service.require_person(session, person.id), Role.FINANCE, occasion=an_occasion()
            )

        assert seat.browser.get("/v1/audit").status_code == 401


class TestWhatIsTold:
    def test_no_answer_names_a_version_of_the_web_server_or_a_stack(self, office: Office) -> None:
        answer = Browser(create_app(office)).get("/v1/nothing")

        assert "server" not in answer.headers
        assert "Traceback" not in answer.text

    def test_a_body_that_is_no_json_is_refused_in_one_sentence(self, office: Office) -> None:
        program = a_program(office)
        for body in (b"{", b"[" * 5_000, b'{"a":' * 5_000, b"\xff\xfe", b"nul", b"NaN", b'{"name": 1e999}'):
            answer = program._browser.post("/v1/api-keys", body, Content_Type="application/json")
            assert answer.status_code in {400, 422}, (body[:10], answer.text)
            assert answer.json()["code"] in {"invalid", "bad_request"}

    def test_every_get_changes_nothing(self, office: Office) -> None:
        """So that a link, an image or a prefetch does no harm."""
        seat = at_a_browser(office, a_person(office))
        with office.database.snapshot() as session:
            before = len(audit.trail(session, limit=1000))
        for endpoint in every_endpoint():
            if endpoint.method == "GET" and "{" not in endpoint.path:
                seat.browser.get(endpoint.path)
        with office.database.snapshot() as session:
            assert len(audit.trail(session, limit=1000)) == before
        assert all(isinstance(endpoint.route, APIRoute) for endpoint in every_endpoint())
