"""
How many signed records a second a server takes in, how soon it answers, and whether any was lost.

The sender is a process of its own (see `sender`). Beside it a probe appends a record to a real ledger, reports it, and
looks at the list of installations until the record shows there: from append to visible.
"""

from __future__ import annotations

import http.client
import json
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from narrows_metering.ledger import Ledger
from narrows_metering.receipt import Receipt
from narrows_metering.record import Kind
from narrows_metering.report import next_report
from narrows_metering.testing import NOW, a_delivery, a_key, an_installation_id

from .reports import sign_chains
from .sender import connected, post, send_from_elsewhere
from .vendor import Vendor, count_records, make_naive_table, serving

CONNECTIONS: Final = 4
RECORDS_PER_REPORT: Final = 500
CALIBRATION_REPORTS: Final = 60
CALIBRATION_SECONDS: Final = 3.0
HEADROOM: Final = 1.4  # How many more reports are signed than the calibration asks for.
PROBE_PAUSE_SECONDS: Final = 0.25
VISIBLE_SECONDS_MAX: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeRate:
    """What one server did on one database."""

    database: str
    workers: int
    records: int
    seconds: float
    ack_p50_seconds: float
    ack_p99_seconds: float
    visible_p99_seconds: float | None
    memory_bytes: int
    lost_records: int
    is_exact: bool  # The sum of bytes in the books is the sum of what was acknowledged.
    refused: int
    peer_per_second: float

    @property
    def per_second(self) -> float:
        return self.records / self.seconds


def measure_intake(vendor: Vendor, *, database: str, seconds: float, workers: int, peer_seconds: float) -> IntakeRate:
    """Load the real server for *seconds*, then the naive peer for *peer_seconds*, on the same database."""
    calibration_seconds = min(CALIBRATION_SECONDS, seconds / 2)
    with serving(vendor, workers=workers) as served:
        warm = sign_chains(
            chains=CONNECTIONS,
            reports=int(CALIBRATION_REPORTS * calibration_seconds / CALIBRATION_SECONDS),
            records=RECORDS_PER_REPORT,
            license_token=vendor.license_token,
            prefix="calibration",
        )
        first = send_from_elsewhere(served.port, warm, calibration_seconds)
        reports = int(first.records / first.seconds * seconds * HEADROOM / RECORDS_PER_REPORT / CONNECTIONS) + 1
        chains = sign_chains(
            chains=CONNECTIONS,
            reports=reports,
            records=RECORDS_PER_REPORT,
            license_token=vendor.license_token,
            prefix="load",
        )
        probe = _Probe(vendor, served.port)
        probe.start()
        sent = send_from_elsewhere(served.port, chains, seconds)
        probe.stop()
        memory = served.memory_bytes()
    # The probe's own records are in the books too; it knows how many the server has acknowledged.
    wanted_records = first.records + sent.records + probe.records
    wanted_bytes = first.delivered_bytes + sent.delivered_bytes + probe.delivered_bytes
    found_records, found_bytes = count_records(vendor)
    answers = sorted(sent.answers_seconds)
    return IntakeRate(
        database=database,
        workers=workers,
        records=sent.records,
        seconds=sent.seconds,
        ack_p50_seconds=_quantile(answers, 0.5),
        ack_p99_seconds=_quantile(answers, 0.99),
        visible_p99_seconds=_quantile(sorted(probe.visible_seconds), 0.99) if probe.visible_seconds else None,
        memory_bytes=memory,
        lost_records=wanted_records - found_records,
        is_exact=wanted_bytes == found_bytes,
        refused=len(first.refused) + len(sent.refused) + len(probe.failures),
        peer_per_second=_measure_peer(vendor, workers=workers, seconds=peer_seconds),
    )


def _measure_peer(vendor: Vendor, *, workers: int, seconds: float) -> float:
    make_naive_table(vendor)
    event = {"kind": "delivery", "payload": a_delivery(source_digest="")}
    body = json.dumps([event] * 50).encode()
    with serving(vendor, workers=workers, is_naive=True) as served:
        rates: list[float] = []

        def send() -> None:
            accepted, began = 0, time.perf_counter()
            with connected(served.port) as connection:
                while time.perf_counter() - began < seconds:
                    accepted += post(connection, "/events", body, {"Content-Type": "application/json"})[1]["accepted"]
            rates.append(accepted / (time.perf_counter() - began))

        threads = [threading.Thread(target=send) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return sum(rates)


class _Probe:
    """Appends, reports and looks, again and again, beside the load."""

    def __init__(self, vendor: Vendor, port: int) -> None:
        self._vendor, self._port = vendor, port
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.visible_seconds: list[float] = []
        self.failures: list[str] = []
        self.records = 0
        self.delivered_bytes = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        installation = an_installation_id("probe")
        with (
            connected(self._port) as connection,
            tempfile.TemporaryDirectory() as folder,
            Ledger.open(Path(folder) / "ledger.sqlite", installation_id=installation) as ledger,
        ):
            while not self._is_over.wait(PROBE_PAUSE_SECONDS):
                began = time.perf_counter()
                record = ledger.append(Kind.DELIVERY, a_delivery(delivered=5, source_digest=""), time=NOW)
                upcoming = next_report(
                    ledger, key=a_key("probe"), license_token=self._vendor.license_token, sdk="narrows 0.1.0"
                )
                assert upcoming is not None
                headers = {"Narrows-Signature": upcoming[1], "Content-Type": "application/octet-stream"}
                status, answer = post(connection, "/v1/reports", upcoming[0], headers)
                if status != http.client.OK:
                    self.failures.append(str(answer))
                    return
                self.records, self.delivered_bytes = record.seq, self.delivered_bytes + 5
                token = answer["receipt"]
                ledger.acknowledge(token, _receipt_in(token))
                self._look(connection, installation, record.seq, began)

    def _look(self, connection: http.client.HTTPConnection, installation: str, seq: int, began: float) -> None:
        while time.perf_counter() - began < VISIBLE_SECONDS_MAX:
            connection.request(
                "GET", "/v1/installations?limit=500", headers={"Authorization": f"Bearer {self._vendor.admin_key}"}
            )
            items = json.loads(connection.getresponse().read())["items"]
            if any(item["id"] == installation and item["records"] >= seq for item in items):
                self.visible_seconds.append(time.perf_counter() - began)
                return
        self.failures.append(f"record {seq} did not show within {VISIBLE_SECONDS_MAX} s")


def _receipt_in(token: str) -> Receipt:
    from narrows_licensing.signature import decode_base64url
    from narrows_metering.canonical import read_json

    claims = read_json(decode_base64url(token.split(".")[1], "the payload"))
    assert isinstance(claims, dict)
    return Receipt.from_claims(claims)


def _quantile(ascending: list[float], share: float) -> float:
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))] if ascending else float("nan")
