"""What leaves the machine: shown before it goes, and the same by file as over the network."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest
from narrows.errors import UsageError
from narrows.reporting.client import MeteringClient
from narrows.reporting.outbox import acknowledge_receipts, export_reports, preview_reports, send_reports
from narrows.reporting.reporter import report_usage, upcoming_reports
from narrows.settings import Settings
from narrows.usage.machine import open_meter, reidentify
from narrows_licensing.trust import Role
from narrows_metering.report import decode_report
from narrows_metering.report_file import read_answers, read_reports
from narrows_server.office import open_office
from narrows_server.settings import Settings as ServerSettings
from narrows_server.usage.courier import import_reports

from tests.sdk.vendor import Vendor, books_of, connect_by
from tests.server.test_rebuild import statement_of_november


def send(vendor: Vendor, machine: Settings) -> list[bytes]:
    """Report as `narrows usage report` does; the bodies that the network saw."""
    wire = vendor.wire()
    send_reports(settings=machine, connect=connect_by(wire), clock=vendor.clock)
    return wire.bodies


def carry(vendor: Vendor, exported: Path, receipts: Path) -> None:
    """What `narrows-server usage import` does."""
    with exported.open("rb") as reports, receipts.open("wb") as answers:
        import_reports(vendor.office, reports, answers)


class TestPreview:
    def test_the_preview_is_what_the_network_then_sees_to_the_byte(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        for amounts in ((2, 3), (4,)):
            vendor.record(machine, *amounts)
            shown = preview_reports(settings=machine, clock=vendor.clock)
            assert shown is not None
            assert send(vendor, machine) == [shown.body]
            assert len(shown.document["records"]) == shown.record_count

    def test_so_it_is_for_an_installation_that_has_a_history(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2, 3)
        with open_meter(machine, clock=vendor.clock) as meter:
            reidentify(machine, installation_id=meter.installation.id, first_seq=3, at=vendor.clock())

        shown = preview_reports(settings=machine, clock=vendor.clock)
        assert shown is not None
        sent = send(vendor, machine)
        assert (sent[0], len(sent)) == (shown.body, shown.report_count)

        vendor.record(machine, 4)  # Now the earlier one only makes sure.
        shown = preview_reports(settings=machine, clock=vendor.clock)
        assert shown is not None
        sent = send(vendor, machine)
        assert (sent[0], len(sent)) == (shown.body, shown.report_count)

    def test_every_report_of_many_is_the_same_but_for_the_receipt_that_it_names(self, vendor: Vendor) -> None:
        machine, wire = vendor.equip(), vendor.wire()
        vendor.record(machine, *range(1, 8))
        token = vendor.office.keyring.bundle.keys_for(Role.RECEIPT, vendor.clock())
        license_token = "a.b.c"
        with (
            open_meter(machine, clock=vendor.clock) as meter,
            upcoming_reports(machine, meter, license_token=license_token, records_max=3) as reports,
        ):
            foreseen = [decode_report(report.body).records for report in reports]
        with (
            open_meter(machine, clock=vendor.clock) as meter,
            MeteringClient("http://v.test", transport=wire) as client,
        ):
            shown = preview_reports(settings=machine, clock=vendor.clock)
            assert shown is not None
            report_usage(
                machine,
                meter,
                client,
                license_token=shown.document["license_token"],
                receipt_keys=token,
                at=vendor.clock(),
                records_max=3,
            )
        assert [decode_report(body).records for body in wire.bodies] == foreseen

    def test_nothing_is_sent_and_nothing_changes(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, 2)
        preview_reports(settings=machine, clock=vendor.clock)
        assert books_of(machine) == (2, 0)
        send(vendor, machine)
        assert preview_reports(settings=machine, clock=vendor.clock) is None


class TestSlowLine:
    def test_what_does_not_arrive_in_time_is_sent_in_smaller_reports(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, *range(1, 1_000))
        sizes = list[int]()

        def slow(request: httpx.Request) -> None:
            sizes.append(len(decode_report(request.content).records))
            if sizes[-1] > 200:
                raise httpx.ReadTimeout("")

        send_reports(settings=machine, connect=connect_by(vendor.wire(slow)), clock=vendor.clock)

        assert sizes == [1_000, *[125] * 8]
        assert books_of(machine) == (1_000, 1_000)
        assert vendor.delivered() == sum(range(1_000))

    def test_a_server_that_never_answers_is_asked_three_times_and_nothing_is_lost(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        vendor.record(machine, *range(1, 1_000))
        sizes = list[int]()

        def silent(request: httpx.Request) -> None:
            sizes.append(len(decode_report(request.content).records))
            raise httpx.ReadTimeout("")

        with pytest.raises(UsageError, match="Nothing is lost"):
            send_reports(settings=machine, connect=connect_by(vendor.wire(silent)), clock=vendor.clock)

        assert sizes == [1_000, 125, 100]
        assert books_of(machine) == (1_000, 0)


class TestAirGap:
    def test_a_file_and_the_network_make_the_same_books_and_the_same_statement(
        self, vendor: Vendor, tmp_path: Path
    ) -> None:
        machine = vendor.equip(url=None)
        home = vendor.office.settings.home
        other_home = tmp_path / "other-office"
        import shutil

        from tests.server.builders import some_usage

        with open_meter(machine, clock=vendor.clock) as meter:
            for kind, payload in some_usage():
                meter.append(kind, payload, time=vendor.clock())
            reidentify(machine, installation_id=meter.installation.id, first_seq=3, at=vendor.clock())
        shutil.copytree(home, other_home)
        export_reports(tmp_path / "reports", settings=machine, clock=vendor.clock)
        with (tmp_path / "reports").open("rb") as file:
            exported = [report.body for report in read_reports(file)]
        with open_office(ServerSettings.read({}, home=other_home), clock=vendor.clock) as online:
            there = Vendor(online, vendor.clock, tmp_path)
            wire = there.wire()
            carry(vendor, tmp_path / "reports", tmp_path / "receipts")
            send_reports(url="http://v.test", settings=machine, connect=connect_by(wire), clock=vendor.clock)
            assert wire.bodies == exported
            assert there.books() == vendor.books()
            assert statement_of_november(online) == statement_of_november(vendor.office)

    def test_the_receipts_come_back_and_nothing_is_left_to_report(self, vendor: Vendor, tmp_path: Path) -> None:
        machine = vendor.equip(url=None)
        vendor.record(machine, 2, 3)
        exported = export_reports(tmp_path / "reports", settings=machine, clock=vendor.clock)
        vendor.record(machine, 4)
        carry(vendor, tmp_path / "reports", tmp_path / "receipts")

        for _ in range(2):
            done = acknowledge_receipts(tmp_path / "receipts", settings=machine, clock=vendor.clock)

        assert (exported.record_count, done.receipt_count, done.acknowledged, done.unreported) == (3, 1, 3, 1)
        assert vendor.delivered() == 5

    def test_files_that_overlap_count_once(self, vendor: Vendor, tmp_path: Path) -> None:
        machine = vendor.equip(url=None)
        for number, amount in enumerate((2, 3, 4)):
            vendor.record(machine, amount)
            export_reports(tmp_path / f"reports{number}", settings=machine, clock=vendor.clock)
        for number in (2, 0, 1, 2):
            carry(vendor, tmp_path / f"reports{number}", tmp_path / f"receipts{number}")
        for number in (1, 2, 0):
            acknowledge_receipts(tmp_path / f"receipts{number}", settings=machine, clock=vendor.clock)

        assert vendor.delivered() == 9
        assert books_of(machine) == (4, 4)

    def test_a_copied_machine_goes_on_as_another_once_it_is_told_to(self, vendor: Vendor, tmp_path: Path) -> None:
        machine = vendor.equip(url=None)
        vendor.record(machine, 2)
        import shutil

        copy = Settings(
            license_path=machine.license_path,
            roots_path=machine.roots_path,
            state_folder=Path(shutil.copytree(machine.state_folder, tmp_path / "copy")),
        )
        reports, receipts = tmp_path / "reports", tmp_path / "receipts"
        for one, amount in ((machine, 30), (copy, 400)):
            vendor.record(one, amount)
            export_reports(reports, settings=one, clock=vendor.clock)
            carry(vendor, reports, receipts)
            told = acknowledge_receipts(receipts, settings=one, clock=vendor.clock)
        assert [refusal.code for refusal in told.refusals] == ["conflict"]
        assert (told.unreported, vendor.delivered()) == (3, 32)

        assert acknowledge_receipts(receipts, reidentifies=True, settings=copy, clock=vendor.clock).reidentified
        export_reports(reports, settings=copy, clock=vendor.clock)
        carry(vendor, reports, receipts)
        done = acknowledge_receipts(receipts, settings=copy, clock=vendor.clock)

        assert (done.refusals, done.unreported, vendor.delivered()) == ((), 0, 432)

    def test_receipts_of_another_machine_are_refused(self, vendor: Vendor, tmp_path: Path) -> None:
        machine, other = vendor.equip(url=None), vendor.equip("other", url=None)
        vendor.record(machine, 2)
        vendor.record(other, 2)
        export_reports(tmp_path / "reports", settings=machine, clock=vendor.clock)
        carry(vendor, tmp_path / "reports", tmp_path / "receipts")
        with pytest.raises(UsageError, match="never lived here"):
            acknowledge_receipts(tmp_path / "receipts", settings=other, clock=vendor.clock)

    def test_a_file_of_receipts_that_was_cut_or_altered_acknowledges_nothing(
        self, vendor: Vendor, tmp_path: Path
    ) -> None:
        machine = vendor.equip(url=None)
        vendor.record(machine, 2)
        export_reports(tmp_path / "reports", settings=machine, clock=vendor.clock)
        carry(vendor, tmp_path / "reports", tmp_path / "receipts")
        whole = (tmp_path / "receipts").read_bytes()
        at = whole.index(b"ey") + 150
        for damaged in (whole[:-3], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            (tmp_path / "receipts").write_bytes(damaged)
            with pytest.raises(UsageError):
                acknowledge_receipts(tmp_path / "receipts", settings=machine, clock=vendor.clock)
        assert books_of(machine) == (2, 0)

    def test_a_target_that_cannot_be_written_leaves_nothing_behind(self, vendor: Vendor, tmp_path: Path) -> None:
        machine = vendor.equip(url=None)
        vendor.record(machine, 2)
        with pytest.raises(UsageError, match="can't write"):
            export_reports(tmp_path / "no" / "reports", settings=machine, clock=vendor.clock)
        folder = tmp_path / "folder"
        folder.mkdir()
        with pytest.raises(UsageError, match="can't write"):
            export_reports(folder, settings=machine, clock=vendor.clock)
        assert list(folder.iterdir()) == []
        assert not list(tmp_path.glob(".folder*"))

    def test_a_license_without_a_server_says_how_to_report(self, vendor: Vendor) -> None:
        machine = vendor.equip(url=None)
        vendor.record(machine, 2)
        with pytest.raises(UsageError, match="narrows usage export"):
            send_reports(settings=machine, clock=vendor.clock)

    def test_a_damaged_report_in_a_file_is_refused_and_the_others_count(self, vendor: Vendor, tmp_path: Path) -> None:
        machine = vendor.equip(url=None)
        vendor.record(machine, 2)
        export_reports(tmp_path / "reports", settings=machine, clock=vendor.clock)
        lines = (tmp_path / "reports").read_bytes().splitlines(keepends=True)
        bad = lines[1].replace(b'"signature":"ey', b'"signature":"ex')
        (tmp_path / "reports").write_bytes(b"".join([lines[0], bad, lines[1], b'{"count":2}\n']))

        carry(vendor, tmp_path / "reports", tmp_path / "receipts")

        refused, receipt = read_answers(io.BytesIO((tmp_path / "receipts").read_bytes()))
        assert (getattr(refused, "code", ""), isinstance(receipt, str)) == ("report_refused", True)
        assert vendor.delivered() == 2


def test_a_development_license_has_nowhere_to_report_to(settings: Settings) -> None:
    with pytest.raises(UsageError, match="nowhere to report"):
        send_reports(settings=settings)
