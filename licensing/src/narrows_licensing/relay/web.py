"""
The relay over HTTP: the same paths and answers as the vendor's server has for leases and reports.

Errors are `application/problem+json` (RFC 9457). The standard library's server is enough for a site: a hundred pods
ask it a few times a minute. Put it behind TLS, with its own files or a proxy.
"""

from __future__ import annotations

import http
import io
import json
import re
import socket
import sqlite3
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from narrows_licensing.errors import LicensingError
from narrows_licensing.lease_request import GIVE_BACK_PATH, LEASE_REQUEST_BYTES_MAX, LEASES_PATH
from narrows_licensing.pool import Full, TooLong
from narrows_licensing.relay.desk import Desk

REPORTS_PATH: Final = "/v1/reports"
RECEIPTS_PATH: Final = "/v1/receipts/"  # And an installation's id.
REPORT_BYTES_MAX: Final = 16 * 1024 * 1024
SIGNATURE_HEADER: Final = "Narrows-Signature"
SIGNATURE_CHARACTERS_MAX: Final = 8192
QUIET_SECONDS_MAX: Final = 10.0  # Whoever says nothing for so long is hung up on,
REQUEST_SECONDS_MAX: Final = 60.0  # and whoever takes so long to ask, however often a byte comes.
_INSTALLATION_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class RelayServer(ThreadingHTTPServer):
    """Answers for a desk until it is shut down. Every request has a thread of its own."""

    daemon_threads = True
    request_queue_size = 256
    request_seconds_max = REQUEST_SECONDS_MAX

    def __init__(self, address: tuple[str, int], desk: Desk) -> None:
        self.desk = desk
        super().__init__(address, _Handler)


class _Punctual(io.RawIOBase):
    """What comes over a connection until a deadline; after it, and after a long silence, a `TimeoutError`."""

    def __init__(self, connection: socket.socket, *, seconds: float) -> None:
        self._connection = connection
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(min(left, QUIET_SECONDS_MAX))
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    server: RelayServer
    timeout = QUIET_SECONDS_MAX
    server_version = "narrows-relay"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        # One request for a connection (HTTP/1.0), so one deadline does.
        self.rfile = io.BufferedReader(_Punctual(self.connection, seconds=self.server.request_seconds_max))

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(200, {"status": "ok", "relay": self.server.desk.papers.certificate.relay_id})
        elif self.path.startswith(RECEIPTS_PATH) and _INSTALLATION_ID.fullmatch(self.path.removeprefix(RECEIPTS_PATH)):
            receipts = self.server.desk.receipts_of(self.path.removeprefix(RECEIPTS_PATH))
            self._send(200, receipts, "application/jsonl")
        else:
            self._problem(404, "not_found", "There is no such thing", f"{self.path[:100]!r}")

    def do_POST(self) -> None:
        answers = {LEASES_PATH: self._lease, GIVE_BACK_PATH: self._give_back, REPORTS_PATH: self._report}
        answer = answers.get(self.path)
        if answer is None:
            self._problem(404, "not_found", "There is no such thing", f"{self.path[:100]!r}")
            return
        bytes_max = REPORT_BYTES_MAX if self.path == REPORTS_PATH else LEASE_REQUEST_BYTES_MAX
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or len(length) > 12 or int(length) > bytes_max:
            self._problem(413, "too_large", "The request is too large", f"a body has 0..{bytes_max} bytes")
            return
        try:
            answer(self.rfile.read(int(length)))
        except (LicensingError, UnicodeDecodeError) as error:
            self._problem(400, "lease_request_refused", "The request for a seat is not accepted", str(error))
        except sqlite3.Error as error:
            detail = f"nothing was changed; send the same request again ({error})"
            self._problem(503, "busy", "The relay can't write now", detail)

    def _lease(self, body: bytes) -> None:
        outcome = self.server.desk.lease(body.decode("ascii").strip())
        if isinstance(outcome, str):
            self._send(200, outcome.encode(), "application/json")
        elif isinstance(outcome, Full):
            detail = f"all {outcome.permitted} seats of this relay are taken; one is free when an encode ends"
            self._problem(409, "no_seat", "Every seat is taken", detail, seats=outcome.permitted)
        elif isinstance(outcome, TooLong):
            days = outcome.borrow_max.days
            detail = f"the license lends a seat for {days} days at most"
            self._problem(422, "borrowed_too_long", "A seat is not lent for so long", detail, borrow_days_max=days)
        else:
            self._problem(403, outcome.reason.value, outcome.sentence, outcome.detail)

    def _give_back(self, body: bytes) -> None:
        self._answer(200, {"was_held": self.server.desk.free(body.decode("ascii").strip())})

    def _report(self, body: bytes) -> None:
        signature = self.headers.get(SIGNATURE_HEADER, "")
        if not 1 <= len(signature) <= SIGNATURE_CHARACTERS_MAX:
            self._problem(422, "report_refused", "The report is not accepted", f"{SIGNATURE_HEADER} is missing")
            return
        receipt = self.server.desk.keep_report(body, signature)
        if receipt is not None:
            self._answer(200, {"receipt": receipt})
        else:
            detail = "the relay keeps this report until it can be handed to the vendor, whose receipt is still to come"
            self._problem(202, "kept_for_vendor", "The report is kept", detail)

    def _answer(self, status: int, members: dict[str, object]) -> None:
        self._send(status, json.dumps(members).encode(), "application/json")

    def _problem(self, status: int, code: str, title: str, detail: str, **members: int) -> None:
        head = {"type": f"urn:narrows:problem:{code}", "title": title, "status": status, "code": code}
        body = json.dumps({**head, "detail": detail, **members}).encode()
        self._send(status, body, "application/problem+json")

    def _send(self, status: int, body: bytes, media_type: str) -> None:
        self.send_response(status, http.HTTPStatus(status).phrase)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Say nothing: who encodes when is not for a log that nobody asked for."""
