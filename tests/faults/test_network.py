"""Reports over a line that is cut, loses packets and is slow: nothing lost, nothing double, and nobody waits long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from narrows.reporting.client import TIMEOUT_SECONDS
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_metering.ledger import Entry
from narrows_metering.record import Kind
from narrows_metering.testing import a_delivery
from narrows_server.clock import utc_now
from narrows_server.licenses.repository import list_licenses
from narrows_server.licenses.service import license_file
from narrows_server.office import open_office

from ..load.vendor import Vendor, count_records
from ..server.builders import Site
from .network import SERVER, Link, Network, a_network
from .served import THOROUGHLY, start

PROGRAM = "from narrows.cli.app import main; main()"
RECORDS = 2_000
START_SECONDS_MAX = 60  # Of a program on a busy machine; what is looked at is that it ends.


@dataclass(frozen=True, slots=True)
class Line:
    """A machine with usage to report, and a line to the vendor's server."""

    network: Network
    url: str
    settings: Settings
    vendor: Vendor

    @property
    def link(self) -> Link:
        return self.network.link

    def report(self) -> subprocess.Popen[str]:
        """`narrows usage report`, which begins to run on the machine."""
        environment = {
            "NARROWS_STATE": str(self.settings.state_folder),
            "NARROWS_LICENSE": str(self.settings.license_path),
            "NARROWS_ROOTS": str(self.settings.roots_path),
        }
        program = [sys.executable, "-c", PROGRAM, "usage", "report", "--url", self.url]
        return subprocess.Popen(
            [*self.network.client, *program],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def report_until_it_is_taken(self) -> None:
        """As an operator's timer does: again and again."""
        for _ in range(20):
            with self.report() as program:
                if program.wait(START_SECONDS_MAX) == 0:
                    return
        raise AssertionError("no report came through")

    def unacknowledged(self) -> int:
        with open_meter(self.settings) as meter:
            return meter.ledger.last_seq() - meter.ledger.acknowledged()

    def require_everything_once(self) -> None:
        assert self.unacknowledged() == 0
        with open_meter(self.settings) as meter:
            assert count_records(self.vendor)[0] == meter.ledger.last_seq()
        assert count_records(self.vendor)[1] == sum(range(RECORDS))


@pytest.fixture
def line(on_sqlite: Vendor, tmp_path: Path) -> Iterator[Line]:
    with a_network() as network, _server(on_sqlite, network) as url:
        yield Line(network, url, _a_machine(on_sqlite, tmp_path / "site"), on_sqlite)


def test_a_line_that_goes_down_in_the_middle_of_a_body_loses_and_doubles_nothing(line: Line) -> None:
    line.link.cut_after_bytes = 40_000
    with line.report() as program:
        _await_cut(line, program)
        cut = time.monotonic()
        assert program.wait(START_SECONDS_MAX) != 0
        took = time.monotonic() - cut
        assert program.stderr is not None
        assert "Nothing is lost; try again later" in " ".join(program.stderr.read().split())
    # The call is over after TIMEOUT_SECONDS; the rest is the end of a Python on a busy machine.
    assert took < TIMEOUT_SECONDS + START_SECONDS_MAX / 4
    assert count_records(line.vendor) == (0, 0)
    assert line.unacknowledged() > RECORDS

    line.link.cut_after_bytes, line.link.is_up = None, True
    line.report_until_it_is_taken()
    line.require_everything_once()


@THOROUGHLY
def test_an_answer_that_never_arrives_is_asked_for_again_and_nothing_counts_twice(line: Line) -> None:
    line.link.loses_answers = True
    with line.report() as program:
        assert program.wait(START_SECONDS_MAX) != 0
    assert count_records(line.vendor)[0] > 0  # It was taken, and nobody knows.
    assert line.unacknowledged() > RECORDS

    line.link.loses_answers = False
    line.report_until_it_is_taken()
    line.require_everything_once()


@THOROUGHLY
def test_a_line_that_is_down_for_a_moment_is_got_over(line: Line) -> None:
    line.link.cut_after_bytes = 40_000
    with line.report() as program:
        _await_cut(line, program)
        line.link.cut_after_bytes, line.link.is_up = None, True
        program.wait(START_SECONDS_MAX)
    line.report_until_it_is_taken()
    line.require_everything_once()


@THOROUGHLY
def test_a_line_that_loses_and_delays_packets_brings_everything_once(line: Line) -> None:
    line.link.loss, line.link.delay_seconds = 0.02, 0.002
    line.report_until_it_is_taken()
    line.require_everything_once()


def _await_cut(line: Line, program: subprocess.Popen[str]) -> None:
    while line.link.is_up:
        assert program.poll() is None, "it ended before the line went down"
        time.sleep(0.001)


@THOROUGHLY
def test_what_is_too_much_for_a_slow_line_at_once_arrives_in_smaller_reports(line: Line) -> None:
    line.link.delay_seconds = 0.05  # A packet; all records together are some 150.
    line.report_until_it_is_taken()
    line.require_everything_once()


@contextmanager
def _server(vendor: Vendor, network: Network) -> Iterator[str]:
    process, port = start(vendor, inside=network.server, host=SERVER)
    try:
        yield f"http://{SERVER}:{port}"
    finally:
        process.send_signal(signal.SIGKILL)  # It may still be waiting for the rest of a body.
        process.wait(timeout=60)


def _a_machine(vendor: Vendor, folder: Path) -> Settings:
    """A machine with a license, and RECORDS deliveries in its ledger."""
    folder.mkdir()
    settings = Site(folder=folder, license_token=vendor.license_token).settings()
    settings = replace(settings, roots_path=vendor.settings.roots)
    with open_office(vendor.settings) as office, office.database.snapshot() as session:
        (issued,) = list_licenses(session)
        text = license_file(session, issued.id, keyring=office.keyring, at=utc_now())
    settings.license_path.write_text(text)
    with open_meter(settings) as meter:
        entries = [Entry(kind=Kind.DELIVERY, payload=a_delivery(delivered=n), time=utc_now()) for n in range(RECORDS)]
        meter.append_all(entries)
    return settings
