"""
The HTTP calls to the metering server. Takes a transport, so that tests talk to the real server without a network.

With `lease_client`, the only importer of `httpx`. Each call is over after `TIMEOUT_SECONDS`, whatever the network does;
one through a transport that was passed in takes as long as that takes.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from narrows.errors import ReportRejected, UsageError
from narrows.reporting.backoff import read_http_date, read_retry_after
from narrows.reporting.deadline import Deadline, DeadlinePassed

TIMEOUT_SECONDS = 3.0
"""No call of ours keeps anything waiting longer."""
ANSWER_BYTES_MAX = 2**20
SIGNATURE_HEADER = "Narrows-Signature"
REPORT_PATH = "/v1/reports"
LOG_PATH = "/v1/log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """The server's proof that a report is leaf *leaf_index* of its log of *tree_size* leaves; not checked yet."""

    leaf_index: int
    tree_size: int
    path: tuple[bytes, ...]


class CallOverdue(UsageError):
    """The server was reached, and its answer was not there when the call's time was up. A smaller call may do."""


class MeteringClient:
    """
    Sends reports to one server, and asks its log; a context manager.

    *proxy* and *ca_bundle* are those of `Settings`; without them the environment's hold, as `httpx` reads them.
    Raises UsageError for a CA bundle or proxy that can't be used.
    """

    def __init__(
        self,
        url: str,
        *,
        proxy: str | None = None,
        ca_bundle: Path | None = None,
        transport: httpx.BaseTransport | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self.url = url
        self._streams = list[Any]()  # Open connections, to be cut when a call is overdue.
        self._was_reached = False  # When the last call was cut.
        self._deadline = Deadline(timeout_seconds, abandon=self._cut) if transport is None else None
        try:
            verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca_bundle) if ca_bundle else True
            self._http = httpx.Client(
                base_url=url,
                # Answers are small. Unpacked ones would have a size that nobody has looked at.
                headers={"Accept-Encoding": "identity"},
                timeout=timeout_seconds,
                transport=transport,
                proxy=None if transport is not None else proxy,
                verify=verify,
            )
        except (OSError, ValueError, httpx.InvalidURL, ImportError) as error:
            raise UsageError(
                f"can't set up the connection to {url}: {error}. Look at NARROWS_PROXY "
                f"({proxy or 'not set'}) and NARROWS_CA_BUNDLE ({ca_bundle or 'not set'})"
            ) from error

    def __enter__(self) -> MeteringClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send_report(self, body: bytes, signature: str) -> str:
        """
        Send one signed report and return the receipt's token.

        Raises ReportRejected when the server refuses it, UsageError when it can't be reached: the records stay in the
        ledger either way.
        """
        headers = {"Content-Type": "application/octet-stream", SIGNATURE_HEADER: signature}
        answer = self._ask("POST", REPORT_PATH, content=body, headers=headers)
        return _text(answer, "receipt", self.url)

    def get_tree_head(self) -> str:
        """The token of the log's signed head. Raises as `send_report` does."""
        return _text(self._ask("GET", f"{LOG_PATH}/head"), "tree_head", self.url)

    def get_inclusion(self, installation_id: str, first_seq: int, last_seq: int, *, tree_size: int) -> Inclusion:
        """The proof that a report is in the log. Raises as `send_report` does, with the code `not_merged_yet` too."""
        asked = {"installation_id": installation_id, "first_seq": first_seq, "last_seq": last_seq}
        answer = self._ask("GET", f"{LOG_PATH}/inclusion", params={**asked, "tree_size": tree_size})
        index, size = answer.get("leaf_index"), answer.get("tree_size")
        if type(index) is not int or type(size) is not int:
            raise UsageError(f"{self.url} answered with something that is not a proof")
        return Inclusion(leaf_index=index, tree_size=size, path=_hashes(answer, self.url))

    def get_consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        """The proof that the log of *second* leaves begins with that of *first*. Raises as `send_report` does."""
        answer = self._ask("GET", f"{LOG_PATH}/consistency", params={"first": first, "second": second})
        return _hashes(answer, self.url)

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        def exchange() -> tuple[int, httpx.Headers, bytes]:
            body = bytearray()
            with self._http.stream(method, path, extensions={"trace": self._trace}, **request) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > ANSWER_BYTES_MAX:
                        raise httpx.DecodingError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
                return response.status_code, response.headers, bytes(body)

        try:
            status, headers, body = self._deadline.call(exchange) if self._deadline else exchange()
        except (httpx.HTTPError, httpx.InvalidURL, DeadlinePassed, OSError) as error:
            was_reached, self._was_reached = self._was_reached, False
            is_overdue = was_reached or isinstance(error, httpx.WriteTimeout | httpx.ReadTimeout)
            raise (CallOverdue if is_overdue else UsageError)(
                f"can't reach {self.url}: {error or type(error).__name__}. Nothing is lost; try again later."
            ) from error
        document = _object(body)
        if status != httpx.codes.OK:
            raise _rejection(status, headers, document or {})
        if document is None:
            raise UsageError(f"{self.url} answered with something that is not JSON of ours")
        return document

    def _trace(self, event: str, details: Mapping[str, Any]) -> None:
        """Told by `httpcore` of each step; keeps what has been connected."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._streams.append(details["return_value"])
            del self._streams[:-4]  # TCP and TLS, to a proxy and through it.

    def _cut(self) -> None:
        """Wake whoever waits for the network: the only way to end a call from another thread."""
        self._was_reached = bool(self._streams)
        for stream in self._streams:
            with suppress(OSError, AttributeError):  # A connection that has become a TLS one, or is closed.
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._streams.clear()


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _text(answer: Mapping[str, Any], name: str, url: str) -> str:
    if not isinstance(answer.get(name), str):
        raise UsageError(f"{url} answered with something that is not a {name.replace('_', ' ')}")
    return str(answer[name])


def _hashes(answer: Mapping[str, Any], url: str) -> tuple[bytes, ...]:
    try:
        return tuple(bytes.fromhex(digest) for digest in answer["path"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{url} answered with something that is not a proof") from error


def _rejection(status: int, headers: httpx.Headers, problem: Mapping[str, Any]) -> ReportRejected:
    """The server's problem document (RFC 9457) as an exception."""
    numbers = {name: problem[name] for name in ("seq", "expected_seq") if type(problem.get(name)) is int}
    return ReportRejected(
        str(problem.get("code", status)),
        str(problem.get("detail", f"the server answered {status}")),
        request_id=str(problem.get("request_id", "no request id")),
        retry_after=_retry_after(headers),
        **numbers,
    )


def _retry_after(headers: httpx.Headers) -> timedelta | None:
    now = read_http_date(headers.get("Date")) or datetime.now(UTC)
    return read_retry_after(headers.get("Retry-After"), now=now)
