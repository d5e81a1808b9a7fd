"""The relay over HTTP, on a real socket of this machine."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from narrows_licensing.lease_request import GIVE_BACK_PATH, LEASE_REQUEST_BYTES_MAX, LEASES_PATH
from narrows_licensing.relay.forwarding import forward
from narrows_licensing.relay.web import REPORTS_PATH, RelayServer
from narrows_licensing.signature import Typ, sign
from narrows_licensing.testing import NOW
from narrows_licensing.trust import Role

from .sites import VENDOR, Pod, SiteRelay


@pytest.fixture
def relay(tmp_path: Path) -> SiteRelay:
    return SiteRelay.open(tmp_path, seats=5)


@pytest.fixture
def server(relay: SiteRelay) -> Iterator[RelayServer]:
    with RelayServer(("127.0.0.1", 0), relay.desk) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def post(server: RelayServer, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    members: dict[str, Any] = json.loads(response.read())
    connection.close()
    return response.status, members


def test_a_seat_is_taken_and_given_back(relay: SiteRelay, server: RelayServer) -> None:
    pod = Pod()
    status, document = post(server, LEASES_PATH, pod.request(NOW).encode())
    lease = relay.read(json.dumps(document))

    assert status == 200
    request = pod.request(NOW, gives_back=lease.lease_id).encode()
    assert post(server, GIVE_BACK_PATH, request) == (200, {"was_held": True})


def test_of_many_that_ask_at_once_exactly_as_many_get_a_seat_as_there_are(server: RelayServer) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: post(server, LEASES_PATH, Pod().request(NOW).encode()), range(20)))

    assert sorted(status for status, _ in answers) == [200] * 5 + [409] * 15
    assert {members["code"] for status, members in answers if status == 409} == {"no_seat"}


def test_a_report_is_kept_once_and_answered_without_a_receipt(relay: SiteRelay, server: RelayServer) -> None:
    for _ in range(2):
        status, members = post(server, REPORTS_PATH, b"report", Narrows_Signature="a..b")
        assert (status, members["code"]) == (202, "kept_for_vendor")

    assert [(kept.body, kept.signature) for kept in relay.store.waiting_reports()] == [(b"report", "a..b")]
    assert post(server, REPORTS_PATH, b"report")[1]["code"] == "report_refused"


def test_an_installation_fetches_its_receipts_as_a_file(relay: SiteRelay, server: RelayServer) -> None:
    installation_id = "i" * 43
    receipt = sign({"installation_id": installation_id}, typ=Typ.RECEIPT, key=VENDOR.key(Role.RECEIPT))
    relay.desk.keep_report(b"report", "a..b")
    forward(relay.store, relay.desk.papers, lambda _: receipt, at=NOW)

    assert [json.loads(line) for line in get(server, f"/v1/receipts/{installation_id}")] == [
        {"format": "narrows-receipts/1"},
        {"receipt": receipt},
        {"count": 1},
    ]
    assert json.loads(get(server, f"/v1/receipts/{'o' * 43}")[-1]) == {"count": 0}
    assert json.loads(get(server, "/v1/receipts/x")[0])["code"] == "not_found"


def get(server: RelayServer, path: str) -> list[bytes]:
    """The lines of an answer."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("GET", path)
    lines = connection.getresponse().read().splitlines()
    connection.close()
    return lines


def test_what_is_too_large_or_no_request_is_refused_with_a_problem(server: RelayServer) -> None:
    assert post(server, LEASES_PATH, b"a" * (LEASE_REQUEST_BYTES_MAX + 1))[0] == 413
    assert post(server, LEASES_PATH, b"\xff")[1]["code"] == "lease_request_refused"
    assert post(server, "/v1/other", b"")[0] == 404


@pytest.mark.parametrize("beginning", [b"POST /v1/rep", b"POST /v1/reports HTTP/1.1\r\nContent-Length: 99\r\n\r\n"])
def test_who_asks_byte_by_byte_is_hung_up_on(server: RelayServer, beginning: bytes) -> None:
    server.request_seconds_max = 0.3
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as connection:
        connection.sendall(beginning)
        connection.settimeout(0.05)
        for _ in range(600):
            with suppress(TimeoutError, ConnectionError):
                connection.sendall(b"x")
                if connection.recv(1) == b"":
                    break
        else:
            raise AssertionError("it waits without an end")
