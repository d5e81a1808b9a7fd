"""
Reports on their way from a relay to the vendor, and receipts on their way back: over the network, or as files.

A report leaves the relay only after its receipt has come, so a lost file is written again. What is inside stays
unopened: the installation has signed it, the vendor checks it, and the same report twice is counted once.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from narrows_licensing.claims import ClaimReader
from narrows_licensing.errors import DocumentUnreadable, LicensingError, SignatureRefused
from narrows_licensing.relay.desk import RECEIPTS_FORMAT
from narrows_licensing.relay.home import Papers
from narrows_licensing.relay.store import KeptReport, Store
from narrows_licensing.relay.web import REPORTS_PATH, SIGNATURE_HEADER
from narrows_licensing.signature import TOKEN_BYTES_MAX, Typ, verify
from narrows_licensing.strict_json import JsonRefused, read_object
from narrows_licensing.trust import Role

TIMEOUT_SECONDS: Final = 3  # Of each wait for the network.
CALL_SECONDS_MAX: Final = 30.0  # Of a report with its answer: 16 MiB at four megabits a second.
ANSWER_BYTES_MAX: Final = 64 * 1024
LINE_CHARACTERS_MAX: Final = 2 * TOKEN_BYTES_MAX
REPORTS_FORMAT: Final = "narrows-reports/1"  # As `narrows usage export` writes it; see `narrows_metering.report_file`.
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """What came of one round."""

    acknowledged: int
    refused: int  # Left where they are; the vendor says why to whoever looks into it.


class VendorAway(Exception):
    """Raised when the vendor's server can't be reached or is busy. Nothing is lost; try again later."""


Send = Callable[[KeptReport], str | None]  # Returns the receipt, or None for a report that is refused.


def forward(store: Store, papers: Papers, send: Send, *, at: datetime) -> Forwarded:
    """Send every report that waits, in order. Raises `VendorAway`; what was acknowledged before stays so."""
    acknowledged = refused = last = 0
    while reports := store.waiting_reports(after=last):
        for report in reports:
            receipt = send(report)
            if receipt is not None and acknowledge(store, papers, report.number, receipt, at=at):
                acknowledged += 1
            else:
                refused += 1
            last = report.number
    return Forwarded(acknowledged=acknowledged, refused=refused)


def acknowledge(store: Store, papers: Papers, number: int, receipt: str, *, at: datetime) -> bool:
    """Keep a receipt in the place of its report, if the vendor signed it; say whether it did."""
    try:
        claims = verify(receipt, typ=Typ.RECEIPT, keys=papers.bundle.keys_for(Role.RECEIPT, at))
    except SignatureRefused:
        return False
    with store.transaction():
        store.acknowledge(number, receipt, str(claims.get("installation_id")))
    return True


def export_lines(store: Store) -> Iterator[str]:
    """
    Write every report that waits as a line of JSON, for `narrows-server usage import`.

    The file is the one that `narrows usage export` writes, with a reference in each line to find its report again.
    """
    yield json.dumps({"format": REPORTS_FORMAT})
    last = count = 0
    while reports := store.waiting_reports(after=last):
        for report in reports:
            body = base64.b64encode(report.body).decode()
            yield json.dumps({"body": body, "signature": report.signature, "reference": str(report.number)})
            last, count = report.number, count + 1
    yield json.dumps({"count": count})


def import_lines(store: Store, papers: Papers, lines: Iterable[str], *, at: datetime) -> int:
    """
    Take in the file that `narrows-server usage import` wrote; returns how many reports have their receipt by it.

    Each receipt is verified and kept by itself, so a file that was cut short does no harm. Raises `DocumentUnreadable`
    for a line that is not of such a file.
    """
    kept = 0
    for place, line in enumerate(lines, start=1):
        try:
            if len(line) > LINE_CHARACTERS_MAX:
                raise DocumentUnreadable("document", f"has more than {LINE_CHARACTERS_MAX} characters")
            members = read_object(line)
            if place == 1 and members != {"format": RECEIPTS_FORMAT}:
                raise DocumentUnreadable("format", f"is not {RECEIPTS_FORMAT}")
            if place == 1 or "refused" in members or "count" in members:
                continue
            reader = ClaimReader(members, error=DocumentUnreadable)
            number = int(reader.pattern("reference", _NUMBER, "the number of a report"))
            receipt = reader.text("receipt", characters_max=TOKEN_BYTES_MAX)
            reader.done()
        except (JsonRefused, DocumentUnreadable) as error:
            raise DocumentUnreadable("document", f"line {place}: {error}") from error
        kept += acknowledge(store, papers, number, receipt, at=at)
    return kept


def sender_to(url: str, *, seconds_max: float = CALL_SECONDS_MAX) -> Send:
    """Return what sends a report to the vendor's server at *url*, each within *seconds_max*."""
    parts = urlsplit(url)
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection

    def send(report: KeptReport) -> str | None:
        connection = connect(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        headers = {"Content-Type": "application/octet-stream", SIGNATURE_HEADER: report.signature}
        try:
            connection.connect()
            with _cut_off(connection.sock, after=seconds_max):
                connection.request("POST", parts.path.rstrip("/") + REPORTS_PATH, report.body, headers)
                response = connection.getresponse()
                body = response.read(ANSWER_BYTES_MAX)
        except (OSError, HTTPException) as error:
            raise VendorAway(f"{url} cannot be reached: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if response.status >= 500 or response.status == 429:
            raise VendorAway(f"{url} is busy ({response.status})")
        try:
            receipt = read_object(body).get("receipt") if response.status == 200 else None
        except (JsonRefused, LicensingError):
            return None
        return receipt if isinstance(receipt, str) else None

    return send


@contextmanager
def _cut_off(connection: socket.socket, *, after: float) -> Iterator[None]:
    """End the connection if the block takes longer than *after* seconds: its timeout is for each wait, not for all."""
    is_cut = threading.Event()

    def cut() -> None:
        is_cut.set()
        with suppress(OSError):  # Closed already.
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(after, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, HTTPException):  # Which may come of the cut.
        if not is_cut.is_set():
            raise
    finally:
        timer.cancel()
    if is_cut.is_set():  # What was read may be half of it.
        raise TimeoutError(f"no answer within {after:g} s")
