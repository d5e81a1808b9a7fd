"""
HTTP that does not wait for ever: who sends a request's head or body too slowly is hung up on.

uvicorn has a limit for idle connections only, so that a client which sends a byte now and then holds its connection,
and a place in the server, for as long as it likes (slowloris).
"""

from __future__ import annotations

import asyncio
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS_MAX: Final = 20.0
BODY_SECONDS_MAX: Final = 120.0  # 16 MiB at a megabit a second.
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class PunctualProtocol(H11Protocol):
    """uvicorn's own protocol with a limit for the time that a head and a body take to arrive."""

    head_seconds_max = HEAD_SECONDS_MAX
    body_seconds_max = BODY_SECONDS_MAX
    _awaited: object = None
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reckon()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._reckon()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _reckon(self) -> None:
        """Count anew when something else is waited for than before; not with every byte of the same."""
        awaited = self.conn.their_state
        if awaited is self._awaited:
            return
        self._stop()
        self._awaited = awaited
        if awaited is h11.IDLE:
            self._patience = self.loop.call_later(self.head_seconds_max, self._hang_up)
        elif awaited is h11.SEND_BODY:
            self._patience = self.loop.call_later(self.body_seconds_max, self._hang_up)

    def _stop(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _hang_up(self) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # Nothing of an answer has been sent.
            self.transport.write(_TOO_SLOW)
        self.transport.close()
