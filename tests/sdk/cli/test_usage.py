"""`narrows usage …`: the same facts for people and programs, and exit codes for scripts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from narrows.cli.usage import app
from narrows.reporting.signatures import check_signatures
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_metering.errors import ReceiptRefused
from narrows_metering.report import decode_report
from narrows_metering.report_file import read_reports
from narrows_server.cli import app as server_app
from typer.testing import CliRunner, Result

from tests.sdk.vendor import Vendor, serving

COMMANDS = [command.name or str(command.callback and command.callback.__name__) for command in app.registered_commands]
Run = Callable[..., Result]


@pytest.fixture
def machine(vendor: Vendor) -> Iterator[Settings]:
    """A machine with two deliveries to report, and a server on loopback."""
    with serving(vendor.office) as url:
        made = vendor.equip(url=url)
        vendor.record(made, 2, 3)
        yield made


@pytest.fixture
def run(machine: Settings) -> Run:
    environment = {
        "NARROWS_LICENSE": str(machine.license_path),
        "NARROWS_ROOTS": str(machine.roots_path),
        "NARROWS_STATE": str(machine.state_folder),
    }

    def run(*arguments: str, expect: int = 0) -> Result:
        done = CliRunner(env=environment).invoke(app, list(arguments))
        assert done.exit_code == expect, done.output + str(done.exception)
        return done

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_json(run: Run, name: str) -> None:
    text = " ".join(run(name, "--help").output.split())
    assert f"Example: narrows usage {name.rstrip('_')}" in text
    assert "--json" in text


class TestStatus:
    def test_people_programs_and_prometheus_see_the_same(self, run: Run) -> None:
        assert json.loads(run("status", "--json").stdout)["unreported"] == 3
        assert "narrows_usage_unreported_records 3\n" in run("status", "--prometheus").stdout
        assert "unreported" in run("status").stdout

        reported = json.loads(run("report", "--json").stdout)

        assert (reported["record_count"], reported["report_count"]) == (3, 1)
        assert json.loads(run("status", "--json").stdout)["unreported"] == 0

    def test_the_vendors_signature_of_every_receipt_is_verified(self, run: Run, machine: Settings) -> None:
        run("report")
        found = json.loads(run("verify", "--json").stdout)
        assert (found["verified_receipts"], found["receipts_of_unknown_keys"]) == (1, 0)

        with open_meter(machine) as meter:
            (kept,) = meter.ledger.receipts()
        head, payload, signature = kept.token.split(".")
        forged = f"{head}.{payload}.{'A' * len(signature)}"
        with pytest.raises(ReceiptRefused, match="not signed by the vendor"):
            check_signatures([replace(kept, token=forged)], machine, datetime.now(UTC))

    def test_damage_is_exit_code_one_and_recovery_ends_it(self, run: Run, machine: Settings) -> None:
        machine.ledger_path.write_bytes(b"nonsense" * 1000)

        assert "narrows usage recover" in json.loads(run("status", "--json", expect=1).stdout)["damage"]
        # Metrics are put in place only by a command that went well, and this one is worth an alarm.
        assert "narrows_usage_ledger_damaged 1\n" in run("status", "--prometheus").stdout
        assert "narrows usage recover" in run("verify", expect=1).output.replace("\n", " ")
        recovered = json.loads(run("recover", "--json").stdout)
        assert recovered["recovered"]
        assert Path(recovered["set_aside"]).read_bytes().startswith(b"nonsense")
        run("status")
        run("verify")
        assert json.loads(run("recover", "--json").stdout) == {"recovered": False}


class TestPreview:
    def test_raw_is_the_body_of_the_next_report(self, run: Run, machine: Settings, tmp_path: Path) -> None:
        raw = run("preview", "--raw").stdout_bytes
        run("export", str(tmp_path / "reports"))
        with (tmp_path / "reports").open("rb") as file:
            (exported,) = read_reports(file)

        assert raw == exported.body
        shown = json.loads(run("preview", "--json").stdout)
        assert shown["signature"] == exported.signature
        assert shown["document"] == {
            name: member for name, member in json.loads(gzip.decompress(raw)).items() if name != "format"
        }
        assert len(decode_report(raw).records) == shown["record_count"] == 3

    def test_people_see_the_records(self, run: Run) -> None:
        text = run("preview").stdout
        assert "delivery" in text
        assert "3 records" in text

    def test_nothing_to_send_is_no_error(self, run: Run) -> None:
        run("report")
        assert run("preview", "--raw").stdout_bytes == b""
        assert json.loads(run("preview", "--json").stdout)["report_count"] == 0
        assert "Everything is reported" in run("preview").stdout


class TestWithoutANetwork:
    def test_from_export_to_acknowledge(self, run: Run, vendor: Vendor, tmp_path: Path) -> None:
        reports, receipts = str(tmp_path / "reports"), str(tmp_path / "receipts")
        assert json.loads(run("export", reports, "--json").stdout)["record_count"] == 3
        server = CliRunner(env={"NARROWS_SERVER_HOME": str(vendor.office.settings.home)})

        for _ in range(2):
            done = server.invoke(server_app, ["usage", "import", reports, "--receipts", receipts, "--json"])
            assert done.exit_code == 0, done.output
            assert json.loads(done.stdout) == {
                "reports": 1,
                "accepted": 1,
                "records": 3,
                "refused": [],
                "receipts": receipts,
            }
        assert vendor.delivered() == 5
        acknowledged = json.loads(run("acknowledge", receipts, "--json").stdout)
        assert (acknowledged["acknowledged"], acknowledged["unreported"]) == (3, 0)
        assert json.loads(run("report", "--json").stdout)["record_count"] == 0

    def test_a_file_that_was_cut_short_is_not_taken_in(self, run: Run, vendor: Vendor, tmp_path: Path) -> None:
        reports = tmp_path / "reports"
        run("export", str(reports))
        reports.write_bytes(reports.read_bytes()[:-5])
        server = CliRunner(env={"NARROWS_SERVER_HOME": str(vendor.office.settings.home)})
        done = server.invoke(server_app, ["usage", "import", str(reports), "--receipts", str(tmp_path / "receipts")])

        assert done.exit_code == 2
        assert "Nothing of it was counted" in done.output.replace("\n", " ")
        assert vendor.delivered() == 0
        assert not (tmp_path / "receipts").exists()
        run("acknowledge", str(tmp_path / "receipts"), expect=1)

    def test_a_gap_is_answered_with_what_to_do(
        self, run: Run, machine: Settings, vendor: Vendor, tmp_path: Path
    ) -> None:
        run("report")
        vendor.record(machine, 4)
        reports, receipts = tmp_path / "reports", tmp_path / "receipts"
        run("export", str(reports))
        receipts.write_text(
            '{"format":"narrows-receipts/1"}\n'
            '{"refused":{"code":"gap","detail":"we hold every record up to 1","expected_seq":2}}\n{"count":1}\n'
        )
        assert "narrows usage export FILE --again" in run("acknowledge", str(receipts), expect=1).output.replace(
            "\n", " "
        )


class TestProof:
    def test_the_log_is_checked_kept_and_checked_again_offline(self, run: Run, vendor: Vendor, tmp_path: Path) -> None:
        run("report")
        vendor.merge_log()
        checked = json.loads(run("proof", "--save", str(tmp_path / "proof.json"), "--json").stdout)
        assert (checked["log_holds"], len(checked["included"]), checked["grown_from"]) == (True, 1, None)
        again = json.loads(run("proof", "--all", "--json").stdout)
        assert (len(again["included"]), again["grown_from"]) == (1, 1)
        kept = run("proof", "--file", str(tmp_path / "proof.json")).stdout
        assert "1 receipts were looked for and are in it (records 1–3 of " in kept
        assert "The log holds." in kept
        assert "It begins with the log of 1 reports" in run("proof").stdout

    def test_a_log_that_does_not_hold_is_exit_code_one(self, run: Run, vendor: Vendor) -> None:
        run("report")
        vendor.clock.advance(hours=2)
        failed = json.loads(run("proof", "--json", expect=1).stdout)
        assert (failed["log_holds"], len(failed["failures"])) == (False, 1)
        assert "DOES NOT HOLD: receipt 1–3 of " in run("proof", expect=1).stdout


def test_pruning_keeps_what_is_young(run: Run) -> None:
    run("report")
    assert json.loads(run("prune", "--json").stdout) == {"removed_records": 0}


def test_a_server_that_is_not_there_is_exit_code_one(run: Run) -> None:
    assert "Nothing is lost" in run("report", "--url", "http://127.0.0.1:9", expect=1).output
