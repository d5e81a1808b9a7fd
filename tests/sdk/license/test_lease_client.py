"""The calls for seats: whatever happens on the network comes back as a value."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from narrows.license.lease_client import LeaseClient
from narrows.license.seat import Away, Leased, Turned
from narrows_licensing.lease import LEASE_BYTES_MAX
from narrows_licensing.lease_request import LEASES_PATH
from narrows_licensing.relay.web import RelayServer
from narrows_licensing.testing import NOW

from tests.licensing.relay.sites import Pod, SiteRelay


def answered_by(answer: Callable[[httpx.Request], httpx.Response]) -> Leased | Turned | Away:
    return LeaseClient("https://relay.example", transport=httpx.MockTransport(answer)).ask("a.b.c")


def test_a_lease_comes_back_as_it_was_sent() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.url.path, request.read()) == (LEASES_PATH, b"a.b.c")
        return httpx.Response(200, text="{}")

    assert answered_by(answer) == Leased("{}")


def test_no_is_told_in_the_words_of_the_server_and_fit_for_a_terminal() -> None:
    answer = answered_by(lambda _: httpx.Response(409, json={"detail": "all 5 seats\x1b[2J are taken"}))

    assert answer == Turned("all 5 seats[2J are taken")


@pytest.mark.parametrize("status", [404, 407, 408, 429, 500, 502, 503])
def test_what_says_nothing_about_the_seat_is_no_answer(status: int) -> None:
    assert isinstance(answered_by(lambda _: httpx.Response(status, text="<html>")), Away)


def test_a_network_that_fails_is_no_answer() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("too slow")

    assert isinstance(answered_by(fail), Away)


def test_an_answer_of_great_length_is_not_read_to_its_end() -> None:
    assert isinstance(answered_by(lambda _: httpx.Response(200, content=b"a" * (LEASE_BYTES_MAX + 1))), Away)


def test_a_seat_is_taken_and_given_back_over_a_real_socket(tmp_path: Path) -> None:
    relay, pod = SiteRelay.open(tmp_path), Pod()
    with RelayServer(("127.0.0.1", 0), relay.desk) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        client = LeaseClient(f"http://127.0.0.1:{server.server_port}")
        answer = client.ask(pod.request(NOW))
        assert isinstance(answer, Leased)
        lease = relay.read(answer.document)
        assert client.give_back(pod.request(NOW, gives_back=lease.lease_id))
        client.close()
        server.shutdown()
        thread.join()

    assert relay.occupied() == 0
