"""The background reporter in real processes: that end, that fork, and that are several."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import narrows
import pytest
from narrows.reporting.attempts import Attempts, note_attempts
from narrows.reporting.background import EXIT_SECONDS, finish_reports
from narrows.settings import Settings

from tests.sdk.builders import a_picture
from tests.sdk.vendor import Vendor, books_of, serving

START_SECONDS = 90  # A busy machine takes its time to start Python, …
BUSY_SECONDS = 15  # … and to end it.

PROGRAM = f"""
import faulthandler, os, signal, sys, time
# Whoever hangs ends and says where, the children of forks as well.
faulthandler.register(signal.SIGALRM, chain=True)
signal.alarm({START_SECONDS - 5})
os.register_at_fork(after_in_child=lambda: signal.alarm({START_SECONDS - 10}))
from datetime import UTC, datetime
from narrows.reporting.background import report_in_background
from narrows.license.gate import read_license
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_metering.record import Kind
from narrows_metering.testing import a_delivery

settings = Settings.read()
_, opened = read_license(settings, datetime.now(UTC))
wake = report_in_background(settings, opened.license)

def record(amount):
    with open_meter(settings) as meter:
        meter.append(Kind.DELIVERY, a_delivery(delivered=amount), time=datetime.now(UTC))
    wake()

"""


def start(machine: Settings, program: str) -> subprocess.Popen[str]:
    """A process of the customer's that does *program*."""
    environment = {
        **os.environ,
        "NARROWS_LICENSE": str(machine.license_path),
        "NARROWS_ROOTS": str(machine.roots_path),
        "NARROWS_STATE": str(machine.state_folder),
    }
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(machine: Settings, program: str) -> str:
    with start(machine, program) as process:
        try:
            said, complained = process.communicate(timeout=START_SECONDS)
        finally:
            process.kill()  # One that hangs would hang the tests.
    assert (process.returncode, complained) == (0, "")
    return said


@pytest.fixture
def silence() -> Iterator[str]:
    """The URL of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


class TestTheEnd:
    def test_a_process_that_ends_has_reported(self, vendor: Vendor) -> None:
        with serving(vendor.office) as url:
            run(vendor.equip(url=url), "record(2); record(3)")
        assert vendor.delivered() == 5

    def test_a_silent_server_delays_the_end_by_three_seconds_at_most(self, vendor: Vendor, silence: str) -> None:
        machine = vendor.equip(url=silence)
        with start(machine, "record(2); print('recorded', flush=True)") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "recorded\n"
            began = time.monotonic()
            assert process.wait(START_SECONDS) == 0
            assert time.monotonic() - began < EXIT_SECONDS + BUSY_SECONDS
        assert books_of(machine) == (2, 0)

    def test_nothing_is_asked_while_the_server_is_to_be_left_alone(self, vendor: Vendor) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            machine = vendor.equip(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
            vendor.record(machine, 1)
            note_attempts(machine.state_folder, Attempts(next_attempt_at=datetime.now(UTC) + timedelta(minutes=5)))
            run(machine, "record(2)")
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()

    def test_an_error_that_ends_the_host_is_the_hosts_own(self, vendor: Vendor, silence: str) -> None:
        with start(vendor.equip(url=silence), "record(2); raise SystemExit(7)") as process:
            assert process.communicate(timeout=START_SECONDS) == ("", "")
        assert process.returncode == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
class TestForks:
    def test_a_child_reports_with_a_thread_of_its_own(self, vendor: Vendor) -> None:
        program = """
record(2)
child = os.fork()
if child == 0:
    record(3)
    print([thread.name for thread in __import__("threading").enumerate()], flush=True)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
"""
        with serving(vendor.office) as url:
            said = run(vendor.equip(url=url), program)
        assert "narrows-reporter" in said
        assert vendor.delivered() == 5

    def test_a_child_that_records_nothing_has_no_thread(self, vendor: Vendor) -> None:
        program = """
record(2)
child = os.fork()
if child == 0:
    print(__import__("threading").active_count(), flush=True)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
"""
        with serving(vendor.office) as url:
            assert run(vendor.equip(url=url), program) == "1\n"

    def test_forks_at_any_moment_of_a_busy_reporter_hang_and_lose_nothing(self, vendor: Vendor) -> None:
        program = """
from narrows.reporting.background import _reporters
(reporter,) = _reporters.values()
children = []
for amount in range(1, 25):
    record(1000)
    time.sleep(amount % 7 / 50)
    child = os.fork()
    if child == 0:
        record(amount)
        # As a worker of a pool ends: without a last report.
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
wake()
"""
        with serving(vendor.office) as url:
            machine = vendor.equip(url=url)
            run(machine, program)
            run(machine, "wake()")
        assert vendor.delivered() == 24 * 1000 + sum(range(1, 25))


class TestSeveral:
    def test_processes_that_share_a_state_folder_report_each_record_once(self, vendor: Vendor) -> None:
        with serving(vendor.office) as url:
            machine = vendor.equip(url=url)
            running = [start(machine, f"for n in range(5): record({10**place})") for place in range(4)]
            for process in running:
                with process:
                    assert process.communicate(timeout=START_SECONDS) == ("", "")
            run(machine, "wake()")
        assert vendor.delivered() == 5555


def test_an_open_encoder_reports_by_itself(vendor: Vendor) -> None:
    with serving(vendor.office) as url:
        machine = vendor.equip(url=url)
        with narrows.Encoder(width=64, height=48, settings=machine) as encoder:
            encoder.encode(a_picture())
        assert "narrows-reporter" in {thread.name for thread in threading.enumerate()}
        assert finish_reports(timeout_seconds=START_SECONDS)

    assert [item["encodes"] for item in vendor.books()["items"]] == [1]  # type: ignore[attr-defined]


def test_an_encoder_under_a_development_license_has_no_reporter(settings: Settings) -> None:
    before = set(threading.enumerate())
    with narrows.Encoder(width=64, height=48, settings=settings) as encoder:
        encoder.encode(a_picture())
        begun = {thread.name for thread in set(threading.enumerate()) - before}
        assert all(name.startswith("narrows_") for name in begun)  # The codec's own; a reporter would be another.
