"""
The HTTP calls for seats, to the vendor's server or to a relay: both have the same paths and answers.

A call never raises: whether nobody answers or somebody says no, it comes back as a value. None is ever on the way of a
frame; `seat` makes them on a thread of its own.
"""

from __future__ import annotations

import time
from typing import Final

import httpx
from narrows_licensing.lease import LEASE_BYTES_MAX
from narrows_licensing.lease_request import GIVE_BACK_PATH, LEASES_PATH

from narrows.license.seat import Away, Leased, Turned

PHASE_SECONDS: Final = 1.0  # To connect, and to hear something more.
CALL_SECONDS: Final = 2.0  # Of a call whose answer comes in pieces. A start waits for `seat.WAIT_SECONDS` in any case.
_DETAIL_CHARACTERS_MAX: Final = 300


class LeaseClient:
    """Asks at one address. Close it when done."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._http = httpx.Client(base_url=url, timeout=PHASE_SECONDS, transport=transport)
        self._url = url

    def ask(self, request: str) -> Leased | Turned | Away:
        """Ask for a seat with a signed request."""
        answer = self._post(LEASES_PATH, request)
        if isinstance(answer, Away):
            return answer
        response, body = answer
        if response.status_code == httpx.codes.OK:
            return Leased(body.decode("utf-8", "replace"))
        detail = _detail(response, body)
        # Too many requests, a fault, somebody else's proxy: that says nothing about the seat.
        if response.status_code >= 500 or response.status_code in (404, 407, 408, 429):
            return Away(f"{self._url} can't answer now: {detail}")
        return Turned(detail)

    def give_back(self, request: str) -> bool:
        """Give a seat back with a signed request; False if nobody heard it."""
        answer = self._post(GIVE_BACK_PATH, request)
        return not isinstance(answer, Away) and answer[0].status_code == httpx.codes.OK

    def close(self) -> None:
        self._http.close()

    def _post(self, path: str, request: str) -> tuple[httpx.Response, bytes] | Away:
        deadline = time.monotonic() + CALL_SECONDS
        body = b""
        try:
            with self._http.stream("POST", path, content=request.encode()) as response:
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > LEASE_BYTES_MAX or time.monotonic() > deadline:
                        return Away(f"{self._url} answers too slowly or at too great length")
                return response, body
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Away(f"can't reach {self._url}: {error or type(error).__name__}")


def _detail(response: httpx.Response, body: bytes) -> str:
    """What the problem document (RFC 9457) says, fit for a terminal."""
    detail = None
    try:
        problem = httpx.Response(response.status_code, content=body).json()
        detail = problem.get("detail") if isinstance(problem, dict) else None
    except ValueError:
        pass
    text = detail if isinstance(detail, str) else f"the answer was {response.status_code}"
    return "".join(character for character in text if character.isprintable())[:_DETAIL_CHARACTERS_MAX]
