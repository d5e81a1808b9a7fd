"""Limits: what is too large is not read, and who asks too often is told when to come back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from narrows_server.app import create_app
from narrows_server.errors import Invalid
from narrows_server.limits import BODY_BYTES_MAX
from narrows_server.office import Office
from narrows_server.rates import Rates
from narrows_server.settings import Settings
from starlette.types import Message

from .api import Program, a_program
from .builders import Browser


class TestRates:
    def test_who_asks_too_often_is_refused_and_told_when_to_come_back(self, office: Office) -> None:
        app = create_app(office, rates=Rates(per_address="100/minute", per_key="3/minute"))
        program = Program(app, a_program(office).key)
        answers = [program.get("/v1/invoices") for _ in range(4)]

        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
        assert answers[0].headers["ratelimit-policy"] == '"key";q=3;w=60'
        refused = answers[-1]
        assert refused.json()["code"] == "rate_limited"
        assert refused.json()["request_id"] == refused.headers["x-request-id"]
        assert 1 <= int(refused.headers["retry-after"]) <= 60

    def test_another_key_is_counted_for_itself_and_an_address_for_all_its_keys(self, office: Office) -> None:
        app = create_app(office, rates=Rates(per_address="5/minute", per_key="3/minute"))
        first, second = Program(app, a_program(office).key), Program(app, a_program(office).key)
        assert [first.get("/v1/invoices").status_code for _ in range(3)] == [200] * 3

        assert [second.get("/v1/invoices").status_code for _ in range(3)] == [200, 200, 429]

    def test_a_key_that_is_guessed_is_counted_as_well(self, office: Office) -> None:
        stranger = Browser(create_app(office, rates=Rates(per_address="3/minute")))
        answers = [stranger.get("/v1/invoices", Authorization=f"Bearer nwk_{guess}") for guess in range(4)]

        assert [answer.status_code for answer in answers] == [401, 401, 401, 429]

    def test_health_is_never_refused(self, office: Office) -> None:
        prober = Browser(create_app(office, rates=Rates(per_address="1/minute")))

        assert [prober.get("/health").status_code for _ in range(3)] == [200] * 3

    def test_the_environment_says_how_often(self, tmp_path: Path) -> None:
        chosen = {"NARROWS_SERVER_RATE_PER_ADDRESS": "300/second", "NARROWS_SERVER_RATE_PER_KEY": "2/minute"}

        assert Settings.read(chosen, home=tmp_path).rates == Rates(per_address="300/second", per_key="2/minute")
        assert Settings.read({}, home=tmp_path).rates == Rates()

    @pytest.mark.parametrize("text", ["often", "0/minute", "-3/minute", "60", "6/fortnight"])
    def test_what_is_no_rate_is_refused_with_an_example(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(Invalid, match=r"NARROWS_SERVER_RATE_PER_KEY: .*6000/minute"):
            Settings.read({"NARROWS_SERVER_RATE_PER_KEY": text}, home=tmp_path)


class TestBodies:
    def test_a_body_that_says_that_it_is_too_large_is_not_read(self, office: Office) -> None:
        answer = send(office, [], says=BODY_BYTES_MAX + 1)

        assert answer == (413, 0)

    def test_a_body_that_turns_out_to_be_too_large_is_read_no_further(self, office: Office) -> None:
        status, chunks_read = send(office, [bytes(BODY_BYTES_MAX // 4)] * 100)

        assert status == 413
        assert chunks_read == 5

    @pytest.mark.parametrize("says", ["-1", "x", "9" * 400])
    def test_a_length_that_makes_no_sense_does_no_harm(self, office: Office, says: str) -> None:
        assert send(office, [b"{}"], says=says)[0] in {401, 413, 422}


def send(office: Office, chunks: list[bytes], *, says: int | str | None = None) -> tuple[int, int]:
    """Post *chunks*; the status, and how many of them were read."""
    given = iter(chunks)
    read = 0
    sent: list[Message] = []

    async def receive() -> Message:
        nonlocal read
        chunk = next(given, None)
        read += chunk is not None
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def keep(message: Message) -> None:
        sent.append(message)

    headers = [] if says is None else [(b"content-length", str(says).encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": "/v1/api-keys",
        "raw_path": b"/v1/api-keys",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "server": ("narrows.test", 443),
    }
    asyncio.run(create_app(office)(scope, receive, keep))
    return int(sent[0]["status"]), read
