"""API keys: scoped, shown once, and of no use to whoever reads the database."""

from __future__ import annotations

import statistics
import time
from datetime import timedelta

import pytest
from narrows_server.access import api_keys
from narrows_server.access.models import ApiKey
from narrows_server.access.roles import Action, Role
from narrows_server.app import create_app
from narrows_server.errors import Invalid
from narrows_server.office import Office
from sqlalchemy import event, select

from .api import Program, a_key, a_program
from .builders import Clock, a_contract, an_occasion

READ_INVOICES = frozenset({Action.INVOICES_READ})


@pytest.fixture
def owner(office: Office) -> Program:
    return a_program(office)


def opens(office: Office, key: str) -> bool:
    return Program(create_app(office), key).get("/v1/invoices").status_code == 200


class TestMaking:
    def test_a_key_is_shown_once_and_opens_what_its_scopes_say(self, office: Office, owner: Program) -> None:
        made = owner.post("/v1/api-keys", {"name": "export", "scopes": ["invoices:read"]})
        assert made.status_code == 201
        key = made.json()["key"]
        assert key not in owner.get(f"/v1/api-keys/{made.json()['id']}").text

        program = Program(create_app(office), key)
        assert program.get("/v1/invoices").status_code == 200
        refused = program.get("/v1/licenses")
        assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
        assert "licenses:read" in refused.json()["detail"]

    def test_the_database_holds_no_key(self, office: Office) -> None:
        key = a_key(office, READ_INVOICES)
        with office.database.snapshot() as session:
            rows = session.scalars(select(ApiKey)).all()
        assert not any(key in str(vars(row)) for row in rows)

    def test_nobody_hands_on_more_than_they_may_do_themselves(self, office: Office) -> None:
        program = Program(create_app(office), a_key(office, {Action.API_KEYS_WRITE, Action.INVOICES_READ}))

        assert program.post("/v1/api-keys", {"name": "a", "scopes": ["invoices:read"]}).status_code == 201
        assert program.post("/v1/api-keys", {"name": "a", "scopes": ["licenses:write"]}).status_code == 403

    def test_no_key_takes_the_place_of_a_person(self, owner: Program) -> None:
        assert owner.post("/v1/api-keys", {"name": "a", "scopes": ["proposals:decide"]}).status_code == 403

    def test_a_customers_key_makes_keys_of_this_customer_alone(self, office: Office) -> None:
        a_contract(office)
        a_contract(office, customer_id="other", contract_id="other-1")
        customer = a_program(office, Role.CUSTOMER, customer_id="kanal")
        order = {"name": "a", "scopes": ["invoices:read"]}

        assert customer.post("/v1/api-keys", order).json()["customer_id"] == "kanal"
        assert customer.post("/v1/api-keys", {**order, "customer_id": "other"}).status_code == 404

    @pytest.mark.parametrize("name", ["", " a", "a\nb", "a\x00b", "x" * 101])
    def test_a_name_is_one_line(self, owner: Program, name: str) -> None:
        assert owner.post("/v1/api-keys", {"name": name, "scopes": ["invoices:read"]}).status_code == 422


class TestTheEndOfAKey:
    def test_a_rotated_key_opens_at_once_and_the_old_one_for_a_day_more(
        self, office: Office, owner: Program, clock: Clock
    ) -> None:
        made = owner.post("/v1/api-keys", {"name": "a", "scopes": ["invoices:read"]}).json()
        rotated = owner.post(f"/v1/api-keys/{made['id']}/rotate").json()
        assert rotated["key"] != made["key"]
        assert opens(office, made["key"])
        assert opens(office, rotated["key"])

        clock.advance(days=1)
        assert not opens(office, made["key"])
        assert opens(office, rotated["key"])

    def test_a_revoked_key_opens_nothing_nor_does_the_one_before_it(self, office: Office, owner: Program) -> None:
        made = owner.post("/v1/api-keys", {"name": "a", "scopes": ["invoices:read"]}).json()
        rotated = owner.post(f"/v1/api-keys/{made['id']}/rotate").json()
        owner.post(f"/v1/api-keys/{made['id']}/revoke")

        assert not opens(office, made["key"])
        assert not opens(office, rotated["key"])
        assert owner.post(f"/v1/api-keys/{made['id']}/rotate").status_code == 422

    def test_a_key_expires(self, office: Office, clock: Clock) -> None:
        with office.database.transaction() as session:
            _, key = api_keys.make(
                session,
                name="short",
                scopes=READ_INVOICES,
                human="admin:test",
                occasion=an_occasion(),
                expires_at=clock.at + timedelta(hours=1),
            )
        assert opens(office, key)
        clock.advance(hours=1)
        assert not opens(office, key)

    def test_a_key_can_not_expire_before_it_is_made(self, office: Office) -> None:
        occasion = an_occasion()
        with office.database.transaction() as session, pytest.raises(Invalid, match="in the future"):
            api_keys.make(session, name="a", scopes=READ_INVOICES, human="a", occasion=occasion, expires_at=occasion.at)

    def test_the_last_use_is_noted_and_not_at_every_request(self, office: Office, owner: Program, clock: Clock) -> None:
        made = owner.post("/v1/api-keys", {"name": "a", "scopes": ["invoices:read"]}).json()
        first = clock.at
        assert opens(office, made["key"])
        clock.advance(minutes=1)
        assert opens(office, made["key"])
        assert owner.get(f"/v1/api-keys/{made['id']}").json()["last_used_at"] == first.isoformat().replace(
            "+00:00", "Z"
        )


class TestLookingUp:
    def test_a_key_is_looked_up_by_its_digest_and_its_text_never_reaches_the_database(self, office: Office) -> None:
        key = a_key(office, READ_INVOICES)
        asked: list[object] = []
        event.listen(office.database.engine, "before_cursor_execute", lambda *a: asked.append(a[2:4]))
        with office.database.snapshot() as session:
            assert api_keys.find_caller(session, key, at=office.clock()) is not None
        assert asked
        assert key not in str(asked)

    def test_the_time_it_takes_does_not_tell_how_much_of_a_key_is_right(self, office: Office) -> None:
        key = a_key(office, READ_INVOICES)
        guesses = {"all wrong": "nwk_" + "A" * 43, "all but the last": key[:-1] + ("A" if key[-1] != "A" else "B")}
        took: dict[str, list[int]] = {name: [] for name in guesses}
        with office.database.snapshot() as session:
            for _ in range(300):
                for name, guess in guesses.items():
                    started = time.perf_counter_ns()
                    assert api_keys.find_caller(session, guess, at=office.clock()) is None
                    took[name].append(time.perf_counter_ns() - started)
        medians = [statistics.median(times) for times in took.values()]
        assert max(medians) / min(medians) < 1.3
