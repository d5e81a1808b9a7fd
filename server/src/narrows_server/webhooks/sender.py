"""One attempt: sign the event, post it, and say what came of it. Redirects are answers like any other: not followed."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit

import httpcore2
from standardwebhooks import Webhook as Signer

from narrows_server import __version__
from narrows_server.webhooks.addresses import AddressRefused, PublicBackend, Resolve, resolve

SECONDS_MAX = 15.0
ANSWER_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An event, ready to be sent: the same bytes at every attempt."""

    url: str
    event_id: str
    body: str
    secrets: Sequence[str]  # "whsec_…"; two of them while one takes the place of the other.


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What an attempt came to: a status, or why there is none."""

    status: int | None
    error: str | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300


class Send(Protocol):
    """Makes one attempt."""

    def __call__(self, letter: Letter, *, at: datetime) -> Answered: ...


class Sender:
    """Sends over the network."""

    def __init__(
        self,
        *,
        is_development: bool = False,
        resolve: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
        seconds_max: float = SECONDS_MAX,
    ) -> None:
        self._is_development = is_development
        self._resolve = resolve
        self._ssl_context = ssl_context or ssl.create_default_context()
        self._seconds_max = seconds_max

    def __call__(self, letter: Letter, *, at: datetime) -> Answered:
        backend = PublicBackend(
            deadline=time.monotonic() + self._seconds_max,
            resolve=self._resolve,
            is_development=self._is_development,
        )
        pool = httpcore2.ConnectionPool(
            ssl_context=self._ssl_context, network_backend=backend, max_connections=1, retries=0
        )
        try:
            with (
                pool,
                pool.stream(
                    "POST", letter.url, headers=headers(letter, at=at), content=letter.body.encode()
                ) as response,
            ):
                _read_on(response)
                return Answered(status=response.status)
        except AddressRefused:
            return Answered(status=None, error="the address is not public")
        except httpcore2.TimeoutException:
            return Answered(status=None, error="no answer in time")
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            return Answered(status=None, error=f"no connection: {type(error).__name__}")


def headers(letter: Letter, *, at: datetime) -> list[tuple[str, str]]:
    """What goes with the event, as Standard Webhooks has it: its id, the time, and a signature for each secret."""
    signatures = [Signer(secret).sign(letter.event_id, at, letter.body) for secret in letter.secrets]
    return [
        ("Host", urlsplit(letter.url).netloc),
        ("Content-Type", "application/json"),
        ("User-Agent", f"narrows-server/{__version__}"),
        ("Webhook-Id", letter.event_id),
        ("Webhook-Timestamp", str(int(at.timestamp()))),
        ("Webhook-Signature", " ".join(signatures)),
    ]


def _read_on(response: httpcore2.Response) -> None:
    """Read the answer to its end, if that is near: nothing in it matters, and nobody sends us gigabytes."""
    count = 0
    for chunk in response.iter_stream():
        count += len(chunk)
        if count > ANSWER_BYTES_MAX:
            return
