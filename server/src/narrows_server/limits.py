"""
How much one caller may ask for: bytes in a body, requests in a minute. Checked before anything is read.

Counted in this process, by address and by API key. Several processes count separately, so the whole allows that many
times more; a reverse proxy that counts for all of them stands in front where that matters.
"""

from __future__ import annotations

import hashlib
from math import ceil
from time import time

from limits import RateLimitItem
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from narrows_server.errors import BodyTooLarge, RateLimited
from narrows_server.problems import error_response
from narrows_server.rates import Rates

BODY_BYTES_MAX = 1 << 20
UNLIMITED_PATHS = ("/live", "/health", "/static/")


class RateLimits:
    """Refuses with 429 whoever asks too often, and tells everybody how much is left."""

    def __init__(self, app: ASGIApp, *, rates: Rates) -> None:
        self.app = app
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._per_address, self._per_key = rates.items()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(UNLIMITED_PATHS):
            await self.app(scope, receive, send)
            return
        told: dict[str, str] = {}
        for name, limit, counted in self._limits(scope):
            is_within = self._limiter.hit(limit, name, counted)
            window = self._limiter.get_window_stats(limit, name, counted)
            seconds = max(1, ceil(window.reset_time - time()))
            told = _told(name, limit, window.remaining, seconds)
            if not is_within:
                error = RateLimited(f"at most {limit.amount} requests in {limit.get_expiry()} s per {name}")
                response = error_response(Request(scope), error, headers={**told, "Retry-After": str(seconds)})
                await response(scope, receive, send)
                return

        async def send_told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(told)
            await send(message)

        await self.app(scope, receive, send_told)

    def _limits(self, scope: Scope) -> list[tuple[str, RateLimitItem, str]]:
        """What is counted for this request; the last is what the caller is told about."""
        address = scope["client"][0] if scope.get("client") else "unknown"
        counted = [("address", self._per_address, address)]
        shown = Headers(scope=scope).get("authorization")
        if shown:
            # Not the key itself: it would lie about in memory for as long as it is counted.
            counted.append(("key", self._per_key, hashlib.sha256(shown.encode()).hexdigest()))
        return counted


class BodyLimits:
    """
    Refuses with 413 a body that says that it is too large, or turns out to be.

    *exempt* are the paths whose endpoints read their body themselves, bounded; every other body is read here, so that
    no framework reads on without an end.
    """

    def __init__(self, app: ASGIApp, *, exempt: frozenset[str]) -> None:
        self.app = app
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._exempt:
            await self.app(scope, receive, send)
            return
        body = None if _says_too_large(scope) else await _read(receive)
        if body is None:
            error = BodyTooLarge(f"the body has more than {BODY_BYTES_MAX} bytes")
            await error_response(Request(scope), error, headers={"Connection": "close"})(scope, receive, send)
            return
        await self.app(scope, _replay(body, receive), send)


def _says_too_large(scope: Scope) -> bool:
    length = Headers(scope=scope).get("content-length", "0")
    return length.isdecimal() and int(length[:20]) > BODY_BYTES_MAX


async def _read(receive: Receive) -> bytes | None:
    """The body, or None once it has more bytes than it may have."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _told(name: str, limit: RateLimitItem, remaining: int, seconds: int) -> dict[str, str]:
    """As in draft-ietf-httpapi-ratelimit-headers-10."""
    return {
        "RateLimit-Policy": f'"{name}";q={limit.amount};w={limit.get_expiry()}',
        "RateLimit": f'"{name}";r={max(0, remaining)};t={seconds}',
    }
