"""
Months that are closed by a server that is killed, and reports that are sent while the database goes away.

`make faults` runs the same with more rounds.
"""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from narrows.errors import NarrowsError
from narrows.reporting.client import MeteringClient
from narrows.reporting.reporter import report_usage
from narrows.usage.machine import open_meter
from narrows_licensing.trust import Role
from narrows_server.office import open_office

from ..load.reports import SignedReport
from ..load.vendor import Vendor, count_records, make_vendor
from ..server.builders import Site, some_usage
from ..server.postgres import running_postgres
from .closes import Books, close_at
from .served import THOROUGHLY, Serving, serving, some_reports, start, totals

ROUNDS = int(os.environ.get("ROUNDS", "1"))
CONTRACTS_PER_ROUND = 6
RECORDS_PER_CONTRACT = 300


def test_a_month_whose_close_is_killed_again_and_again_has_every_invoice_right_and_once(vendor: Vendor) -> None:
    contracts = CONTRACTS_PER_ROUND * (ROUNDS + 1)
    books = Books.write(vendor, contracts=contracts, records=contracts * RECORDS_PER_CONTRACT)

    for _ in range(ROUNDS):
        with serving(vendor) as server:
            closing = threading.Thread(target=_close_and_be_cut_off, args=(server, vendor))
            done = books.outcomes()
            closing.start()
            while books.outcomes() <= done:  # Somewhere behind the first contract, before the last.
                time.sleep(0.005)
            server.process.kill()
            closing.join()
    assert 0 < books.outcomes() < contracts
    with serving(vendor) as server:
        for _ in range(2):
            status, answer = close_at(server, vendor)
            assert status == 200, answer
    books.require_every_invoice_right_and_once()


def _close_and_be_cut_off(server: Serving, vendor: Vendor) -> None:
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        close_at(server, vendor)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["ended", "crashed"])
def test_a_database_that_goes_away_during_intake_loses_and_doubles_no_report(
    how: signal.Signals, tmp_path: Path
) -> None:
    # Processes die here, and not the machine: what was written is there, whether a disk has it or not.
    with running_postgres(is_durable=False, synchronous_commit="on", full_page_writes="on") as postgres:
        vendor = make_vendor(tmp_path / "home", postgres.fresh_database())
        chains = some_reports(vendor, 10 * ROUNDS, chains=3)
        site = Site(folder=tmp_path / "site", license_token=vendor.license_token)
        site.folder.mkdir()
        refused = list[int]()
        is_over = threading.Event()

        with serving(vendor) as server:
            senders = [threading.Thread(target=_send_all, args=(server, chain, refused)) for chain in chains]
            sdk = threading.Thread(target=_report_until, args=(is_over, server, site, vendor))
            for thread in (*senders, sdk):
                thread.start()
            try:
                for _ in range(ROUNDS):
                    time.sleep(0.3)
                    postgres.restart(how)
                for thread in senders:
                    thread.join()
            finally:
                is_over.set()
            sdk.join()
            assert set(refused) <= {503}
            assert server.ask("GET", "/health")[0] == 200

        records, delivered = totals([report for chain in chains for report in chain])
        with open_meter(site.settings()) as meter:
            assert meter.ledger.acknowledged() == meter.ledger.last_seq()
            own = meter.ledger.last_seq()
        found, found_bytes = count_records(vendor)
        assert found == records + own
        assert found_bytes >= delivered


def test_a_server_whose_database_goes_away_while_it_starts_ends_as_failed(tmp_path: Path) -> None:
    """And whoever watches over it starts it again, as systemd does with `Restart=on-failure`."""
    with running_postgres(is_durable=False) as postgres:
        vendor = make_vendor(tmp_path / "home", postgres.fresh_database())
        process, _ = start(vendor)
        process.send_signal(signal.SIGSTOP)
        postgres.stop(signal.SIGQUIT)
        process.send_signal(signal.SIGCONT)
        assert process.wait(timeout=60) == 1


@THOROUGHLY
def test_workers_wait_for_a_database_that_is_away_and_none_is_started_in_their_place(tmp_path: Path) -> None:
    with running_postgres(is_durable=False) as postgres:
        vendor = make_vendor(tmp_path / "home", postgres.fresh_database())
        ((report,),) = some_reports(vendor, 1)
        process, port = start(vendor, workers=2)
        try:
            process.send_signal(signal.SIGSTOP)
            postgres.stop(signal.SIGQUIT)
            process.send_signal(signal.SIGCONT)
            server = Serving(process, port)
            while len(first := server.workers()) < 2:
                time.sleep(0.05)
            time.sleep(1)  # Time enough to fail and be replaced, for whoever would.
            postgres.restart(signal.SIGQUIT)
            assert server.send(report) == 200
            assert server.workers() == first
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
        assert count_records(vendor) == totals([report])


def _send_all(server: Serving, chain: list[SignedReport], refused: list[int]) -> None:
    """Each report until it is taken, as a client does that hears that it should try again."""
    for report in chain:
        while (status := server.send(report)) != 200:
            refused.append(status)
            time.sleep(0.05)


def _report_until(is_over: threading.Event, server: Serving, site: Site, vendor: Vendor) -> None:
    """What the SDK does on a machine: it appends, and reports what has no receipt, whatever went wrong before."""
    settings = site.settings()
    with open_office(vendor.settings) as office:
        keys = office.keyring.bundle.keys_for(Role.RECEIPT, office.clock())
        clock = office.clock
    while True:
        is_last = is_over.is_set()
        site.record(*some_usage())
        with open_meter(settings) as meter, MeteringClient(f"http://127.0.0.1:{server.port}") as client:
            try:
                report_usage(settings, meter, client, license_token=site.license_token, receipt_keys=keys, at=clock())
            except NarrowsError:
                assert not is_last
        if is_last:
            return
        time.sleep(0.05)
