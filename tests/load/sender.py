"""
The sender of the load: a process of its own with a few connections.

Each connection sends the next report of its installation when the last one is answered. Imports little, because it is
started for each measurement.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from .reports import SignedReport


@dataclass(slots=True)
class Sent:
    """What a sender got answered."""

    records: int = 0
    delivered_bytes: int = 0
    seconds: float = 0.0
    answers_seconds: list[float] = field(default_factory=list)  # Of each report, from its first byte to its receipt.
    refused: list[str] = field(default_factory=list)


def send_from_elsewhere(port: int, chains: list[list[SignedReport]], seconds: float) -> Sent:
    """Send from a process of its own, so that the measuring does not slow what is measured more than a client would."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere:
        return elsewhere.submit(_send_chains, port, chains, seconds).result()


def _send_chains(port: int, chains: list[list[SignedReport]], seconds: float) -> Sent:
    total, lock, until = Sent(), threading.Lock(), time.perf_counter() + seconds

    def send(chain: list[SignedReport]) -> None:
        mine = Sent()
        with connected(port) as connection:
            for report in chain:
                began = time.perf_counter()
                if began > until:
                    break
                headers = {"Narrows-Signature": report.signature, "Content-Type": "application/octet-stream"}
                status, answer = post(connection, "/v1/reports", report.body, headers)
                mine.answers_seconds.append(time.perf_counter() - began)
                if status != http.client.OK:
                    mine.refused.append(str(answer))
                    break
                mine.records += report.records
                mine.delivered_bytes += report.delivered_bytes
        with lock:
            total.records += mine.records
            total.delivered_bytes += mine.delivered_bytes
            total.answers_seconds += mine.answers_seconds
            total.refused += mine.refused

    began = time.perf_counter()
    threads = [threading.Thread(target=send, args=(chain,)) for chain in chains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total.seconds = time.perf_counter() - began
    return total


def connected(port: int) -> closing[http.client.HTTPConnection]:
    """A connection to the server on this machine, closed at the end of the block."""
    return closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60))


def post(
    connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the answer."""
    connection.request("POST", path, body=body, headers=headers)
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    return response.status, answer
