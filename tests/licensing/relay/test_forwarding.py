"""Reports leave a relay only after the vendor's receipt for them has come."""

from __future__ import annotations

import base64
import json
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from narrows_licensing.relay.forwarding import VendorAway, export_lines, forward, import_lines, sender_to
from narrows_licensing.relay.store import KeptReport
from narrows_licensing.signature import Typ, sign
from narrows_licensing.testing import NOW, a_key
from narrows_licensing.trust import Role

from .sites import VENDOR, SiteRelay

RECEIPT = sign({"last_seq": 2}, typ=Typ.RECEIPT, key=VENDOR.key(Role.RECEIPT))


@pytest.fixture
def relay(tmp_path: Path) -> SiteRelay:
    """With three reports that wait."""
    relay = SiteRelay.open(tmp_path)
    for body in (b"one", b"two", b"three"):
        assert relay.desk.keep_report(body, "a..b") is None
    return relay


def bodies(relay: SiteRelay) -> list[bytes]:
    return [report.body for report in relay.store.waiting_reports()]


def test_reports_are_sent_in_order_and_their_receipts_given_to_those_who_come_again(relay: SiteRelay) -> None:
    sent: list[bytes] = []

    def send(report: KeptReport) -> str | None:
        sent.append(report.body)
        return None if report.body == b"two" else RECEIPT

    forwarded = forward(relay.store, relay.desk.papers, send, at=NOW)

    assert sent == [b"one", b"two", b"three"]
    assert (forwarded.acknowledged, forwarded.refused, bodies(relay)) == (2, 1, [b"two"])
    assert relay.desk.keep_report(b"one", "a..b") == RECEIPT


def test_a_receipt_that_the_vendor_did_not_sign_is_none(relay: SiteRelay) -> None:
    false = sign({"last_seq": 2}, typ=Typ.RECEIPT, key=a_key("somebody"))

    assert forward(relay.store, relay.desk.papers, lambda _: false, at=NOW).acknowledged == 0
    assert len(bodies(relay)) == 3


def test_an_answer_that_trickles_without_an_end_is_not_waited_for(relay: SiteRelay) -> None:
    is_over = threading.Event()

    def trickle(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
            while not is_over.wait(0.05):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=(listener,))
        thread.start()
        send = sender_to(f"http://127.0.0.1:{listener.getsockname()[1]}", seconds_max=0.3)
        with pytest.raises(VendorAway, match=r"no answer within 0\.3 s"):
            forward(relay.store, relay.desk.papers, send, at=NOW)
        is_over.set()
        thread.join()

    assert len(bodies(relay)) == 3


def test_while_the_vendor_is_away_nothing_is_lost(relay: SiteRelay) -> None:
    with pytest.raises(VendorAway):
        forward(relay.store, relay.desk.papers, sender_to("http://127.0.0.1:9"), at=NOW)

    assert len(bodies(relay)) == 3


def test_reports_travel_as_a_file_and_receipts_come_back_as_one(relay: SiteRelay) -> None:
    first, *lines, last = [json.loads(line) for line in export_lines(relay.store)]

    assert (first, last) == ({"format": "narrows-reports/1"}, {"count": 3})
    assert [base64.b64decode(line["body"]) for line in lines] == [b"one", b"two", b"three"]
    back: list[dict[str, object]] = [{"format": "narrows-receipts/1"}]
    back += [{"receipt": RECEIPT, "reference": line["reference"]} for line in lines[:2]]
    back += [{"refused": {"code": "gap", "detail": "…"}, "reference": lines[2]["reference"]}, {"count": 3}]
    assert import_lines(relay.store, relay.desk.papers, map(json.dumps, back), at=NOW) == 2
    assert bodies(relay) == [b"three"]
