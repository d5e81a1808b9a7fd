"""The real command `narrows-server serve` as a process, and a client that speaks HTTP as badly as it likes."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from narrows_server.settings import DATABASE_VARIABLE

from ..load.reports import SignedReport, sign_chains
from ..load.vendor import Vendor

RECORDS = 20  # In each report.
# What takes a server of its own and shows a case more: `make test` has to stay quick.
THOROUGHLY = pytest.mark.skipif("ROUNDS" not in os.environ, reason="a part of `make faults`")
PROGRAM = "from narrows_server.cli import main; main()"


@dataclass(slots=True)
class Serving:
    """The process, and where it listens."""

    process: subprocess.Popen[str]
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def workers(self) -> list[int]:
        """The ids of the processes that answer, if they are several."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        # One of them is multiprocessing's own, which cleans up after the others.
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def send(self, report: SignedReport) -> int:
        """Post *report* over a connection of its own; the status."""
        return self.ask("POST", "/v1/reports", report.body, signature_of(report))[0]

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """The status and the body; raises OSError when the server is gone, or goes before it has said all."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.IncompleteRead as error:
            raise ConnectionResetError("an answer ended in the middle") from error
        finally:
            connection.close()


def signature_of(report: SignedReport) -> dict[str, str]:
    return {"Narrows-Signature": report.signature, "Content-Type": "application/octet-stream"}


def head_of(report: SignedReport) -> bytes:
    """The head of a request that sends *report*."""
    lines = ["POST /v1/reports HTTP/1.1", "Host: narrows.test", f"Content-Length: {len(report.body)}"]
    lines += [f"{name}: {value}" for name, value in signature_of(report).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def start(
    vendor: Vendor,
    *,
    workers: int = 1,
    before: Callable[[], None] | None = None,
    inside: Sequence[str] = (),
    host: str = "127.0.0.1",
    **environment: str,
) -> tuple[subprocess.Popen[str], int]:
    """
    The process and its port, which is known before anybody answers there.

    *before* runs in it before all else; *inside* is the command that runs the server's.
    """
    options = ["--home", str(vendor.home), "--workers", str(workers), "--host", host, "--port", "0"]
    process = subprocess.Popen(
        [*inside, sys.executable, "-c", PROGRAM, "serve", *options],
        env={**os.environ, DATABASE_VARIABLE: vendor.database_url, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=before,
    )
    assert process.stdout is not None
    with process.stdout:
        port = urlsplit(process.stdout.readline().removeprefix("listening on ").strip()).port
    if port is None:
        process.wait(timeout=60)
        raise AssertionError("the server did not come up")
    return process, port


@contextmanager
def serving(
    vendor: Vendor, *, workers: int = 1, before: Callable[[], None] | None = None, **environment: str
) -> Iterator[Serving]:
    """Serve until the end of the block, from when it answers."""
    process, port = start(vendor, workers=workers, before=before, **environment)
    try:
        server = Serving(process, port)
        server.ask("GET", "/health")
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def some_reports(vendor: Vendor, count: int, *, prefix: str = "fault", chains: int = 1) -> list[list[SignedReport]]:
    """*chains* installations with *count* reports each."""
    return sign_chains(chains=chains, reports=count, records=RECORDS, license_token=vendor.license_token, prefix=prefix)


def totals(reports: list[SignedReport]) -> tuple[int, int]:
    """Records and delivered bytes in *reports*."""
    return sum(one.records for one in reports), sum(one.delivered_bytes for one in reports)
