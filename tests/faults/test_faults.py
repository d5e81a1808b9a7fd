"""
What goes wrong around a server, with the real command as a process: nothing lost, nothing double, errors that say why.

`make faults` runs the same with more rounds.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from ..load.reports import SignedReport
from ..load.vendor import Vendor, count_records, make_vendor
from ..server.postgres import Postgres
from .served import RECORDS, Serving, head_of, serving, signature_of, some_reports, totals

ROUNDS = int(os.environ.get("ROUNDS", "2"))


def test_a_server_killed_during_intake_has_what_it_acknowledged_once_and_takes_the_rest(vendor: Vendor) -> None:
    chains = some_reports(vendor, 6 * ROUNDS, chains=3)
    left = {number: list(chain) for number, chain in enumerate(chains)}
    for at in range(ROUNDS):
        with serving(vendor) as server:

            def send(chain: list[SignedReport], server: Serving = server) -> None:
                while chain:
                    try:
                        assert server.send(chain[0]) == 200
                    except OSError:
                        return
                    chain.pop(0)

            threads = [threading.Thread(target=send, args=(chain,)) for chain in left.values()]
            for thread in threads:
                thread.start()
            time.sleep(0.05 + 0.1 * at)
            server.process.kill()
            for thread in threads:
                thread.join()
    with serving(vendor) as server:
        for chain in chains:  # All once more, also what was acknowledged.
            assert {server.send(report) for report in chain} == {200}

    assert count_records(vendor) == totals([report for chain in chains for report in chain])


def test_a_body_that_is_cut_in_the_middle_counts_nothing_and_can_be_sent_again(on_sqlite: Vendor) -> None:
    (chain,) = some_reports(on_sqlite, ROUNDS)
    with serving(on_sqlite) as server:
        for report in chain:
            with server.connect() as connection:
                connection.sendall(head_of(report) + report.body[: len(report.body) // 2])
                # Reset, as by a network that is gone.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            assert server.send(report) == 200
    assert count_records(on_sqlite) == totals(chain)


def test_a_report_under_way_is_finished_when_the_server_is_told_to_end(on_sqlite: Vendor) -> None:
    ((report,),) = some_reports(on_sqlite, 1)
    with serving(on_sqlite) as server, server.connect() as connection:
        connection.sendall(head_of(report) + report.body[:100])
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        connection.sendall(report.body[100:])
        assert connection.recv(12) == b"HTTP/1.1 200"
        assert server.process.wait(timeout=30) == 0
    assert count_records(on_sqlite) == totals([report])


def test_hostile_bodies_are_refused_and_the_server_stays_small(on_sqlite: Vendor) -> None:
    ((report,),) = some_reports(on_sqlite, 1)
    bomb = gzip.compress(bytes(1 << 28), compresslevel=1)
    deep = gzip.compress(b"[" * 5_000_000)
    with serving(on_sqlite) as server:
        for body, codes in ((bomb, {400, 413, 422}), (deep, {400, 422}), (b"\x1f\x8b" + bytes(100), {400, 422})):
            status, answer = server.ask("POST", "/v1/reports", body, signature_of(report))
            assert status in codes, answer
            assert json.loads(answer)["code"]
        with server.connect() as connection:
            connection.sendall(b"POST /v1/reports HTTP/1.1\r\nHost: x\r\nNarrows-Signature: x\r\n")
            connection.sendall(b"Content-Length: 999999999999\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 413"
        with server.connect() as connection:
            connection.sendall(b"POST /v1/customers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(17):  # A body without an end: it is answered as soon as it is too large.
                connection.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
            assert connection.recv(12) == b"HTTP/1.1 413"
        assert server.send(report) == 200
        grown = Path(f"/proc/{server.process.pid}/status").read_text()
    peak = next(int(line.split()[1]) << 10 for line in grown.splitlines() if line.startswith("VmHWM"))
    assert peak < 700 << 20


def test_a_full_disk_is_said_and_nothing_that_was_acknowledged_is_lost(on_sqlite: Vendor) -> None:
    (chain,) = some_reports(on_sqlite, 60)
    present = max(path.stat().st_size for path in on_sqlite.home.iterdir() if path.is_file())

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (present + (256 << 10),) * 2)

    acknowledged = []
    with serving(on_sqlite, before=limit) as server:
        for report in chain:
            status, answer = server.ask("POST", "/v1/reports", report.body, signature_of(report))
            if status != 200:
                break
            acknowledged.append(report)
        assert status == 503, answer
        assert json.loads(answer)["code"]
        assert server.ask("GET", "/live")[0] == 200
    assert acknowledged
    assert count_records(on_sqlite) == totals(acknowledged)
    with serving(on_sqlite) as server:
        assert {server.send(report) for report in chain} == {200}
    assert count_records(on_sqlite) == totals(chain)


class TestWorkers:
    def test_what_one_worker_takes_the_other_knows_and_a_killed_one_is_replaced(
        self, postgres: Postgres, tmp_path: Path
    ) -> None:
        vendor = make_vendor(tmp_path / "home", postgres.fresh_database())
        chains = some_reports(vendor, 6, chains=2)
        with serving(vendor, workers=2) as server:
            while len(workers := server.workers()) < 2 or server.ask("GET", "/health")[0] != 200:
                time.sleep(0.1)
            # Every report has a connection of its own: they go to either worker, and each continues the other's chain.
            for report in chains[0]:
                assert server.send(report) == 200
            os.kill(workers[0], signal.SIGKILL)
            for report in chains[1]:
                assert _patiently(server, report) == 200
            assert {_patiently(server, report) for chain in chains for report in chain} == {200}
            headers = {"Authorization": f"Bearer {vendor.admin_key}"}
            heads = json.loads(server.ask("GET", "/v1/installations", headers=headers)[1])["items"]
            # Whichever worker is asked, it shows what all have counted, the killed one too.
            counted = [
                float(line.rpartition(" ")[2])
                for line in server.ask("GET", "/metrics", headers=headers)[1].decode().splitlines()
                if line.startswith('narrows_requests_total{method="POST",route="/v1/reports"')
            ]
            assert sum(counted) >= 20
            assert [one["records"] for one in heads] == [6 * RECORDS, 6 * RECORDS]
            deadline = time.monotonic() + 60
            while len(set(server.workers()) - {workers[0]}) < 2 and time.monotonic() < deadline:
                time.sleep(0.1)
            assert len(set(server.workers()) - {workers[0]}) == 2
        assert count_records(vendor) == totals([report for chain in chains for report in chain])

    def test_several_workers_on_sqlite_are_refused(self, on_sqlite: Vendor) -> None:
        with pytest.raises(AssertionError, match="did not come up"), serving(on_sqlite, workers=2):
            pass


def _patiently(server: Serving, report: SignedReport) -> int:
    """The status, as a client gets it that tries again when it is hung up on."""
    for _ in range(50):
        try:
            return server.send(report)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("nobody answered")
