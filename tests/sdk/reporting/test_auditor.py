"""The customer checks the vendor's log, and a vendor who keeps two books is caught."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from narrows.errors import UsageError
from narrows.reporting.auditor import MEMORY, audit_log, check_file, forget_log, read_memory, save_proof
from narrows.reporting.log_proof import LogCheck, LogProof
from narrows.reporting.outbox import send_reports
from narrows.settings import Settings
from narrows.usage.machine import open_meter, reidentify
from narrows_server.office import open_office
from narrows_server.settings import Settings as ServerSettings

from tests.sdk.vendor import Vendor, Wire, connect_by
from tests.server.builders import a_contract


def report(vendor: Vendor, machine: Settings, *amounts: int) -> None:
    """Record, and report each in a report of its own."""
    for amount in amounts:
        vendor.record(machine, amount)
        send_reports(settings=machine, connect=connect_by(vendor.wire()), clock=vendor.clock)


def audit(
    vendor: Vendor, machine: Settings, *, wire: Wire | None = None, everything: bool = False
) -> tuple[LogCheck, LogProof]:
    return audit_log(
        everything=everything, settings=machine, connect=connect_by(wire or vendor.wire()), clock=vendor.clock
    )


class TestTheLogHolds:
    def test_every_receipt_is_found_and_only_new_ones_are_asked_for(self, vendor: Vendor) -> None:
        machine, other = vendor.equip(), vendor.equip("other")
        report(vendor, machine, 2, 3)
        report(vendor, other, 4)
        vendor.merge_log()

        first, _ = audit(vendor, machine)
        assert (first.failures, first.previous_size, first.tree_head.tree_size) == ((), None, 3)
        assert [receipt.last_seq for receipt in first.included] == [2, 3]

        report(vendor, other, 5, 6)
        report(vendor, machine, 7)
        vendor.merge_log()
        second, _ = audit(vendor, machine)
        assert (second.failures, second.previous_size, second.tree_head.tree_size) == ((), 3, 6)
        assert [receipt.last_seq for receipt in second.included] == [4]
        assert len(audit(vendor, machine, everything=True)[0].included) == 3

    def test_a_receipt_that_waits_for_its_place_is_asked_for_again(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        report(vendor, machine, 2)

        waiting, _ = audit(vendor, machine)
        assert (waiting.failures, len(waiting.pending), len(waiting.included)) == ((), 1, 0)

        vendor.merge_log()
        assert len(audit(vendor, machine)[0].included) == 1

    def test_the_receipts_of_earlier_installations_count(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        report(vendor, machine, 2)
        with open_meter(machine, clock=vendor.clock) as meter:
            reidentify(machine, installation_id=meter.installation.id, first_seq=2, at=vendor.clock())
            old = meter.installation.id
        vendor.merge_log()

        check, _ = audit(vendor, machine)

        assert [receipt.installation_id for receipt in check.included] == [old]


class TestTheLogDoesNotHold:
    def test_a_receipt_that_never_gets_into_the_log(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        report(vendor, machine, 2)
        vendor.clock.advance(hours=1)

        check, _ = audit(vendor, machine)

        (failure,) = check.failures
        assert "receipt 1–2" in failure
        assert "not_merged_yet" in failure
        assert not (machine.state_folder / MEMORY).exists()

    def test_a_receipt_that_the_vendor_denies(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        report(vendor, machine, 2)
        vendor.merge_log()
        vendor.clock.advance(hours=2)

        def deny(request: httpx.Request) -> httpx.Response | None:
            if request.url.path != "/v1/log/inclusion":
                return None
            return httpx.Response(404, json={"code": "not_found", "detail": "no receipt was given"})

        check, _ = audit(vendor, machine, wire=vendor.wire(deny))

        assert ["no receipt was given" in failure for failure in check.failures] == [True]

    def test_a_vendor_with_a_second_book(self, vendor: Vendor, made_vendor_home: Path, tmp_path: Path) -> None:
        import shutil

        machine = vendor.equip()
        report(vendor, machine, 2, 3)
        vendor.merge_log()
        audit(vendor, machine)
        before = read_memory(machine.state_folder)
        # The same keys, and a log that holds other reports.
        home = Path(shutil.copytree(made_vendor_home, tmp_path / "second"))
        with open_office(ServerSettings.read({}, home=home), clock=vendor.clock) as office:
            a_contract(office)
            second = Vendor(office, vendor.clock, tmp_path)
            report(second, second.equip("another"), 2, 3, 4)
            second.merge_log()
            check, _ = audit(second, machine)

        assert any("not only grown" in failure for failure in check.failures)
        assert read_memory(machine.state_folder) == before

    def test_a_log_that_has_shrunk(self, vendor: Vendor, made_vendor_home: Path, tmp_path: Path) -> None:
        import shutil

        machine = vendor.equip()
        report(vendor, machine, 2)
        vendor.merge_log()
        audit(vendor, machine)
        home = Path(shutil.copytree(made_vendor_home, tmp_path / "empty"))
        with open_office(ServerSettings.read({}, home=home), clock=vendor.clock) as office:
            empty = Vendor(office, vendor.clock, tmp_path)
            check, _ = audit(empty, machine)
            assert "it had 1 reports" in check.failures[0]

            forget_log(machine)  # What an operator decides after a talk with the vendor.
            assert audit(empty, machine)[0].tree_head.tree_size == 0

    def test_a_tree_head_that_somebody_else_signed(self, vendor: Vendor) -> None:
        from narrows_licensing.signature import Typ, sign
        from narrows_metering.testing import a_key
        from narrows_metering.transparency import EMPTY_ROOT, TreeHead

        head = TreeHead(tree_size=0, root_hash=EMPTY_ROOT.hex(), time=vendor.clock())
        token = sign(head.claims(), typ=Typ.TREE_HEAD, key=a_key("somebody else"))
        wire = vendor.wire(lambda _: httpx.Response(200, json={"tree_head": token}))

        with pytest.raises(UsageError, match="can't be checked"):
            audit(vendor, vendor.equip(), wire=wire)

    def test_a_memory_that_cannot_be_read_is_not_forgotten_silently(self, vendor: Vendor) -> None:
        machine = vendor.equip()
        report(vendor, machine, 2)
        (machine.state_folder / MEMORY).write_text("nonsense")
        with pytest.raises(UsageError, match="--forget"):
            audit(vendor, machine)


class TestAKeptProof:
    def test_is_checked_without_a_network_and_every_change_is_noticed(self, vendor: Vendor, tmp_path: Path) -> None:
        machine, file = vendor.equip(), tmp_path / "proof.json"
        report(vendor, machine, 2, 3, 4)
        vendor.merge_log()
        _, proof = audit(vendor, machine)
        save_proof(proof, file)

        check = check_file(file, settings=machine, clock=vendor.clock)
        assert (check.failures, len(check.included)) == ((), 3)

        document = json.loads(file.read_text())
        for index, claim in enumerate(document["claims"]):
            altered = json.loads(file.read_text())
            digest = claim["path"][0]
            altered["claims"][index]["path"][0] = f"{int(digest[0], 16) ^ 1:x}{digest[1:]}"
            file.with_suffix(".altered").write_text(json.dumps(altered))
            found = check_file(file.with_suffix(".altered"), settings=machine, clock=vendor.clock)
            assert len(found.failures) == 1

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "narrows-log-proof/1"}', "nonsense"])
    def test_a_file_that_is_none_is_named(self, vendor: Vendor, tmp_path: Path, text: str) -> None:
        (tmp_path / "proof.json").write_text(text)
        with pytest.raises(UsageError, match="not a proof"):
            check_file(tmp_path / "proof.json", settings=vendor.equip(), clock=vendor.clock)


def test_a_pending_receipt_is_not_one_that_is_an_hour_old(vendor: Vendor) -> None:
    machine = vendor.equip()
    report(vendor, machine, 2)
    vendor.clock.at += timedelta(minutes=59)
    assert len(audit(vendor, machine)[0].pending) == 1
