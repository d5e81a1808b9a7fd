"""The background reporter: reports by itself, waits when it should, and is nobody's problem."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from narrows.reporting.attempts import NOTE, Attempts, note_attempts, read_attempts
from narrows.reporting.background import IDLE, OTHERS_TURN, BackgroundReporter, report_in_background
from narrows.reporting.destination import reports_by_itself
from narrows.reporting.turn import taken_turn
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_licensing.license import Kind as LicenseKind
from narrows_licensing.license import MeteringMode, MeteringTerms
from narrows_licensing.testing import a_license

from tests.sdk.vendor import Vendor, Wire, books_of, connect_by

Fault = Callable[[httpx.Request], httpx.Response | None]


def a_reporter(vendor: Vendor, machine: Settings, wire: Wire, *, chance: float = 0.5) -> BackgroundReporter:
    return BackgroundReporter(machine, connect=connect_by(wire), clock=vendor.clock, chance=lambda: chance)


def busy(request: httpx.Request) -> httpx.Response:
    return httpx.Response(503, headers={"Retry-After": "30"})


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route to host", request=request)


def broken(request: httpx.Request) -> httpx.Response:
    raise ZeroDivisionError("a bug")


class TestATurn:
    def test_reports_what_is_unsent_and_then_is_idle(self, vendor: Vendor) -> None:
        machine, wire = vendor.equip(), vendor.wire()
        vendor.record(machine, 2, 3)

        assert a_reporter(vendor, machine, wire).turn() == IDLE

        assert vendor.delivered() == 5
        assert books_of(machine) == (3, 3)
        assert read_attempts(machine.state_folder) == Attempts(
            last_attempt_at=vendor.clock(), last_success_at=vendor.clock(), pruned_at=vendor.clock()
        )

    def test_asks_nobody_anything_while_there_is_nothing_to_report(self, vendor: Vendor) -> None:
        machine, wire = vendor.equip(), vendor.wire()
        vendor.record(machine, 2)
        reporter = a_reporter(vendor, machine, wire)
        reporter.turn()
        reporter.turn()

        assert len(wire.requests) == 1

    def test_leaves_a_failing_server_alone_for_longer_each_time(self, vendor: Vendor) -> None:
        machine, wire = vendor.equip(), vendor.wire(unreachable)
        vendor.record(machine, 2)
        reporter = a_reporter(vendor, machine, wire)
        waits = []
        for _ in range(4):
            waits.append(reporter.turn())
            vendor.clock.at += waits[-1]

        assert waits == [timedelta(seconds=s) for s in (1, 2, 4, 8)]
        assert len(wire.requests) == 4

    def test_a_turn_that_comes_too_early_asks_nobody(self, vendor: Vendor) -> None:
        machine, wire = vendor.equip(), vendor.wire(busy)
        vendor.record(machine, 2)
        reporter = a_reporter(vendor, machine, wire)

        assert reporter.turn() == timedelta(seconds=31)  # What was asked for, and the jitter.
        vendor.clock.advance(seconds=10)
        assert reporter.turn() == timedelta(seconds=21)

        assert len(wire.requests) == 1

    def test_the_wait_holds_for_all_processes_of_the_machine(self, vendor: Vendor) -> None:
        machine, wire = vendor.equip(), vendor.wire(busy)
        vendor.record(machine, 2)
        a_reporter(vendor, machine, wire).turn()

        assert a_reporter(vendor, machine, wire).turn() == timedelta(seconds=31)
        assert len(wire.requests) == 1

    def test_after_a_failure_everything_is_reported_once(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2)
        a_reporter(vendor, machine, vendor.wire(busy)).turn()
        vendor.record(machine, 3)
        vendor.clock.advance(minutes=1)

        assert a_reporter(vendor, machine, vendor.wire()).turn() == IDLE

        assert vendor.delivered() == 5
        assert read_attempts(machine.state_folder).failure_count == 0

    def test_a_clock_that_was_set_back_silences_nobody(self, vendor: Vendor) -> None:
        machine, wire = vendor.equip(), vendor.wire()
        vendor.record(machine, 2)
        note_attempts(machine.state_folder, Attempts(next_attempt_at=vendor.clock() + timedelta(days=30)))

        assert a_reporter(vendor, machine, wire).turn() == IDLE

    @pytest.mark.parametrize("note", [b"", b"{}", b"[]", b'{"last_attempt_at": 7}', b"\xff"])
    def test_a_note_that_cannot_be_read_says_nothing(self, vendor: Vendor, note: bytes) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2)
        (machine.state_folder / NOTE).write_bytes(note)

        assert a_reporter(vendor, machine, vendor.wire()).turn() == IDLE
        assert vendor.delivered() == 2


class TestNothingIsRaised:
    @pytest.mark.parametrize(
        ("fault", "said"),
        [(busy, "503"), (unreachable, "no route to host"), (broken, "unexpected ZeroDivisionError: a bug")],
    )
    def test_whatever_fails_is_noted(self, vendor: Vendor, fault: Fault, said: str) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2)

        a_reporter(vendor, machine, vendor.wire(fault)).turn()

        assert said in str(read_attempts(machine.state_folder).last_error)
        assert books_of(machine) == (2, 0)

    def test_a_license_that_is_gone(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2)
        machine.license_path.unlink()

        a_reporter(vendor, machine, vendor.wire()).turn()

        assert "no_license" in str(read_attempts(machine.state_folder).last_error)

    def test_a_damaged_ledger(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2)
        machine.ledger_path.write_bytes(b"nonsense" * 1000)

        a_reporter(vendor, machine, vendor.wire()).turn()

        assert "narrows usage recover" in str(read_attempts(machine.state_folder).last_error)

    def test_a_state_folder_that_is_gone(self, vendor: Vendor) -> None:
        assert a_reporter(vendor, vendor.equip(), vendor.wire()).turn() == IDLE


class Over(threading.Event):
    """Says that somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_waited_for = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.is_waited_for.set()
        return super().wait(timeout)


class TestTheThread:
    def test_ends_when_it_is_asked_to_while_it_gathers(self, vendor: Vendor) -> None:
        machine, wire = vendor.equip(), vendor.wire()
        vendor.record(machine, 2)
        note_attempts(machine.state_folder, Attempts(next_attempt_at=vendor.clock() + timedelta(minutes=5)))
        reporter = a_reporter(vendor, machine, wire)
        reporter._is_over = over = Over()
        reporter.wake()
        assert over.is_waited_for.wait(60)  # What it does while it gathers, and at no other time.
        reporter.finish()
        assert reporter.join(60)
        assert wire.requests == []

    def test_reports_what_it_is_woken_for(self, vendor: Vendor) -> None:
        machine, wire = vendor.equip(), vendor.wire()
        reporter = a_reporter(vendor, machine, wire)
        reporter.start()
        vendor.record(machine, 2)
        reporter.wake()
        reporter.finish()
        assert reporter.join(60)
        assert vendor.delivered() == 2


class TestSeveralProcesses:
    def test_one_reports_at_a_time(self, vendor: Vendor) -> None:
        machine, wire = vendor.equip(), vendor.wire()
        vendor.record(machine, 2)
        program = f"""
import sys
from pathlib import Path
from narrows.reporting.turn import taken_turn
with taken_turn(Path({str(machine.state_folder)!r})) as is_ours:
    print(is_ours, flush=True)
    sys.stdin.read()
"""
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "True\n"

            assert a_reporter(vendor, machine, wire).turn() == OTHERS_TURN
            assert wire.requests == []
            other.kill()
            other.communicate()

        assert a_reporter(vendor, machine, wire).turn() == IDLE  # A dead process holds nothing.

    def test_a_turn_ends_with_its_block(self, tmp_path: Path) -> None:
        for _ in range(2):
            with taken_turn(tmp_path) as is_ours:
                assert is_ours


class TestRetention:
    def test_records_go_400_days_after_their_receipt_and_the_rest_stays(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2, 3)
        reporter = a_reporter(vendor, machine, vendor.wire())
        reporter.turn()
        vendor.clock.advance(days=399)
        vendor.record(machine, 4)
        # The license has run out meanwhile; what was used is reported all the same.
        reporter.turn()
        assert first_kept(machine) == 1
        vendor.clock.advance(days=2)
        vendor.record(machine, 5)
        reporter.turn()

        assert first_kept(machine) == 4
        assert vendor.delivered() == 14

    def test_a_clock_that_runs_ahead_removes_nothing(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2)
        a_reporter(vendor, machine, vendor.wire()).turn()

        def ahead() -> datetime:
            return vendor.clock() + timedelta(days=800)

        BackgroundReporter(machine, connect=connect_by(vendor.wire()), clock=ahead).turn()

        assert first_kept(machine) == 1


def first_kept(machine: Settings) -> int:
    with open_meter(machine) as meter:
        return meter.ledger.pruned().seq + 1


class TestWhoReports:
    @pytest.mark.parametrize(
        ("kind", "mode", "url", "wanted", "reports"),
        [
            (LicenseKind.PRODUCTION, MeteringMode.REQUIRED, "https://v.test", True, True),
            (LicenseKind.PRODUCTION, MeteringMode.REQUIRED, "https://v.test", False, True),
            (LicenseKind.PRODUCTION, MeteringMode.OPTIONAL, "https://v.test", True, True),
            (LicenseKind.PRODUCTION, MeteringMode.OPTIONAL, "https://v.test", False, False),
            (LicenseKind.PRODUCTION, MeteringMode.REQUIRED, None, True, False),
            (LicenseKind.DEVELOPMENT, MeteringMode.OPTIONAL, "https://v.test", True, False),
        ],
    )
    def test_the_license_says(
        self, kind: LicenseKind, mode: MeteringMode, url: str | None, wanted: bool, reports: bool, tmp_path: Path
    ) -> None:
        terms = MeteringTerms(mode=mode, report_url=url, contract_id="c", baseline_id="b")
        settings = Settings(license_path=tmp_path, roots_path=None, state_folder=tmp_path, reports_in_background=wanted)

        assert reports_by_itself(a_license(kind=kind, metering=terms), settings) is reports

    def test_a_license_without_a_server_starts_no_thread(self, vendor: Vendor) -> None:
        before = threads()
        terms = MeteringTerms(mode=MeteringMode.REQUIRED, report_url=None, contract_id="c", baseline_id="b")

        report_in_background(vendor.equip(), a_license(metering=terms))()

        assert threads() == before


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name == "narrows-reporter"}
