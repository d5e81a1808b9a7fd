"""The status says what is so, also when something is broken, and Prometheus can read it."""

from __future__ import annotations

import re

import httpx
from narrows.reporting.background import BackgroundReporter
from narrows.reporting.exposition import Gauge, _lines, exposition
from narrows.reporting.status import usage_status
from narrows.settings import Settings
from narrows.usage.machine import open_meter, reidentify
from narrows_metering.reserve import RESERVE_BYTES

from tests.sdk.vendor import Vendor, connect_by

SAMPLE = re.compile(r'([a-z_]+)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? (-?[0-9.e+]+)')


def turn(vendor: Vendor, machine: Settings, answer: httpx.Response | None = None) -> None:
    wire = vendor.wire(None if answer is None else lambda _: answer)
    BackgroundReporter(machine, connect=connect_by(wire), clock=vendor.clock, chance=lambda: 0.5).turn()


class TestStatus:
    def test_of_a_machine_that_has_reported(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2, 3)
        turn(vendor, machine)
        vendor.record(machine, 4)

        status = usage_status(machine)

        assert (status.records, status.acknowledged, status.unreported) == (4, 3, 1)
        assert status.last_receipt == status.last_attempt == status.last_success == vendor.clock()
        assert (status.last_error, status.failed_attempts, status.next_attempt) == (None, 0, None)
        assert (status.earlier, status.damage, status.reserve_bytes) == ((), None, 0)
        assert status.ledger == machine.ledger_path

    def test_of_a_machine_that_cannot_reach_its_server(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2)
        turn(vendor, machine, httpx.Response(429, headers={"Retry-After": "60"}))

        status = usage_status(machine)

        assert status.next_attempt is not None
        assert (status.next_attempt - vendor.clock()).total_seconds() == 61
        assert "429" in str(status.last_error)
        assert (status.failed_attempts, status.last_success) == (1, None)

    def test_of_a_machine_whose_earlier_installation_has_open_records(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2, 3)
        with open_meter(machine, clock=vendor.clock) as meter:
            old = meter.installation.id
        reidentify(machine, installation_id=old, first_seq=3, at=vendor.clock())

        status = usage_status(machine)

        (earlier,) = status.earlier
        assert (earlier.installation, earlier.records, earlier.unreported) == (old, 2, 2)
        assert status.unreported == 5  # With the new one's: why it began, what it carried, and its enrolment.
        turn(vendor, machine)
        assert usage_status(machine).earlier == ()

    def test_of_a_damaged_ledger(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2)
        machine.ledger_path.write_bytes(b"nonsense" * 1000)

        status = usage_status(machine)

        assert "narrows usage recover" in str(status.damage)
        assert (status.records, status.unreported, status.ledger) == (None, None, machine.ledger_path)

    def test_of_a_machine_that_has_done_nothing_yet(self, vendor: Vendor) -> None:
        status = usage_status(vendor.equip())
        assert (status.records, status.acknowledged, status.last_attempt) == (1, 0, None)

    def test_the_reserve_is_shown(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        with open_meter(machine) as meter:
            meter.require_room()
        assert usage_status(machine).reserve_bytes == RESERVE_BYTES


class TestExposition:
    def test_every_metric_has_its_help_its_type_and_one_sample(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2)
        turn(vendor, machine)

        text = exposition(usage_status(machine))

        assert text.endswith("\n")
        lines = text.splitlines()
        names = []
        for help_, type_, sample in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
            match = SAMPLE.fullmatch(sample)
            assert match is not None, sample
            names.append(match[1])
            assert help_.startswith(f"# HELP {match[1]} ")
            assert type_ == f"# TYPE {match[1]} gauge"
        assert len(set(names)) == len(names)
        assert "narrows_usage_unreported_records 0" in lines
        assert f"narrows_usage_last_receipt_timestamp_seconds {vendor.clock().timestamp()!r}" in lines

    def test_what_is_unknown_is_left_out_and_damage_is_a_number(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2)
        machine.ledger_path.write_bytes(b"nonsense" * 1000)

        text = exposition(usage_status(machine))

        assert "narrows_usage_ledger_damaged 1\n" in text
        assert "narrows_usage_records " not in text
        assert "last_receipt" not in text

    def test_labels_are_escaped(self) -> None:
        gauge = Gauge(name="n", meaning="m", value=1, labels=(("l", 'a"b\\c\nd'),))
        assert _lines(gauge).splitlines()[-1] == r'n{l="a\"b\\c\nd"} 1'
