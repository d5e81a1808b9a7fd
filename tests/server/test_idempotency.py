"""Once and no more: a change with an idempotency key has its effect once, whoever sends it however often."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from narrows_server.access import api_keys
from narrows_server.access.models import ApiKey
from narrows_server.app import create_app
from narrows_server.idempotency import IdempotencyKey
from narrows_server.office import Office
from narrows_server.paging import Paging
from sqlalchemy import func, select

from .api import Program, a_program
from .builders import Clock, FailingAfter, PowerCut

ORDER = {"name": "export", "scopes": ["invoices:read"]}


def count_keys(office: Office) -> int:
    with office.database.snapshot() as session:
        return session.scalar(select(func.count()).select_from(ApiKey).where(ApiKey.name == "export")) or 0


def test_the_same_request_again_gets_the_same_answer_and_has_no_second_effect(office: Office) -> None:
    owner = a_program(office)
    first = owner.post("/v1/api-keys", ORDER, Idempotency_Key="order-1")
    again = owner.post("/v1/api-keys", ORDER, Idempotency_Key="order-1")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert count_keys(office) == 1


def test_the_same_key_with_another_body_is_refused(office: Office) -> None:
    owner = a_program(office)
    owner.post("/v1/api-keys", ORDER, Idempotency_Key="order-1")
    refused = owner.post("/v1/api-keys", {**ORDER, "name": "other"}, Idempotency_Key="order-1")

    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")


def test_two_callers_never_meet_in_one_key(office: Office) -> None:
    first, second = a_program(office), a_program(office)
    made = first.post("/v1/api-keys", ORDER, Idempotency_Key="1").json()

    assert second.post("/v1/api-keys", ORDER, Idempotency_Key="1").json()["id"] != made["id"]


def test_what_was_refused_may_be_tried_again_with_the_same_key(office: Office) -> None:
    owner = a_program(office)
    assert owner.post("/v1/api-keys/key_nothing/revoke", Idempotency_Key="1").status_code == 404
    assert owner.post("/v1/api-keys", ORDER, Idempotency_Key="1").status_code == 201


def test_a_key_is_forgotten_after_a_day(office: Office, clock: Clock) -> None:
    owner = a_program(office)
    first = owner.post("/v1/api-keys", ORDER, Idempotency_Key="1").json()
    clock.advance(hours=24)

    assert owner.post("/v1/api-keys", ORDER, Idempotency_Key="1").json()["id"] != first["id"]


def test_a_secret_in_an_answer_is_not_to_be_read_in_the_database(office: Office) -> None:
    secret = a_program(office).post("/v1/api-keys", ORDER, Idempotency_Key="1").json()["key"]
    with office.database.snapshot() as session:
        (row,) = session.scalars(select(IdempotencyKey))

    assert secret not in str(vars(row))


@pytest.mark.parametrize("statements", range(3, 12))
def test_there_is_never_a_change_without_its_key_nor_a_key_without_its_change(office: Office, statements: int) -> None:
    owner = a_program(office)
    owner.get("/v1/api-keys")  # So that the use of the key itself is noted already.
    cut = FailingAfter(office.database, statements)
    with cut, suppress(PowerCut):
        owner.post("/v1/api-keys", ORDER, Idempotency_Key="1")
    before = count_keys(office)
    made = owner.post("/v1/api-keys", ORDER, Idempotency_Key="1")

    assert made.status_code == 201
    assert count_keys(office) == 1
    assert ("idempotency-replayed" in made.headers) is (before == 1)


@pytest.mark.both
def test_eight_at_once_with_one_key_have_one_effect_and_one_answer(office: Office) -> None:
    key = a_program(office).key
    app = create_app(office)

    def order(_: int) -> str:
        answer = Program(app, key).post("/v1/api-keys", ORDER, Idempotency_Key="once")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["key"])

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(order, range(8)))

    assert len(answers) == 1
    assert count_keys(office) == 1
    with office.database.snapshot() as session:
        assert len(api_keys.list_keys(session, Paging()).rows) >= 2
