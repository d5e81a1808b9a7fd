"""Reports that come as a file: each is taken in once, and each gets its answer."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from narrows_metering.ledger import Ledger
from narrows_metering.record import Kind
from narrows_metering.report import next_report
from narrows_metering.report_file import Refusal, SignedReport, read_answers, write_reports
from narrows_metering.testing import GB, a_delivery
from narrows_server.cli import app
from narrows_server.office import Office
from narrows_server.usage.courier import FileNotRead, TakenIn, import_reports
from typer.testing import CliRunner

from .builders import Browser, Site, send, some_usage


def a_file(*reports: tuple[bytes, str]) -> io.BytesIO:
    file = io.BytesIO()
    write_reports(file, [SignedReport(body=body, signature=signature) for body, signature in reports])
    file.seek(0)
    return file


def take_in(office: Office, file: io.BytesIO) -> tuple[TakenIn, list[str | Refusal]]:
    answers = io.BytesIO()
    taken = import_reports(office, file, answers)
    answers.seek(0)
    return taken, list(read_answers(answers))


def test_a_report_in_a_file_gets_the_receipt_that_the_network_gave(
    office: Office, browser: Browser, site: Site
) -> None:
    site.record(*some_usage())
    report = site.report()
    online = send(browser, report).json()["receipt"]

    taken, answers = take_in(office, a_file(report))

    assert answers == [online]
    assert (taken.report_count, taken.accepted_count, taken.record_count) == (1, 1, 3)


def test_a_conflict_and_nonsense_are_answered_and_the_others_count(office: Office, site: Site, tmp_path: Path) -> None:
    copy = site.clone(tmp_path / "copy")
    copy.record((Kind.DELIVERY, a_delivery(delivered=GB)))
    site.record(*some_usage())
    take_in(office, a_file(site.report()))

    taken, answers = take_in(office, a_file(copy.report(), (b"nonsense", "a.b.c"), site.report()))

    conflict, nonsense, receipt = answers
    assert isinstance(conflict, Refusal)
    assert (conflict.code, conflict.seq, conflict.expected_seq) == ("conflict", 1, None)
    assert conflict.installation_id == site.installation_id
    assert isinstance(nonsense, Refusal)
    assert (nonsense.code, nonsense.installation_id) == ("report_unreadable", None)
    assert isinstance(receipt, str)
    assert (taken.accepted_count, taken.refusals) == (1, (conflict, nonsense))


def test_a_report_that_comes_too_early_says_from_where_to_begin(office: Office, site: Site) -> None:
    site.record(*some_usage())

    _, (gap,) = take_in(office, a_file(a_report_after(site, 2)))

    assert isinstance(gap, Refusal)
    assert (gap.code, gap.expected_seq) == ("gap", 1)


def a_report_after(site: Site, after: int) -> tuple[bytes, str]:
    """What a machine sends that believes its first records to be known."""
    with Ledger.open(site.folder / "ledger.sqlite", installation_id=site.installation_id) as ledger:
        report = next_report(ledger, key=site.key, license_token=site.license_token, sdk="0.1.0", after=after)
    assert report is not None
    return report


def test_a_file_that_was_cut_short_is_refused_before_anything_counts(office: Office, site: Site) -> None:
    site.record(*some_usage())
    file = io.BytesIO(a_file(site.report()).getvalue()[:-4])
    with pytest.raises(FileNotRead, match="line 3"):
        import_reports(office, file, io.BytesIO())
    assert len(take_in(office, a_file())[1]) == 0


def test_a_refusal_makes_the_command_exit_with_1_and_say_why(home: Path, site: Site, tmp_path: Path) -> None:
    site.record(*some_usage())
    (tmp_path / "reports").write_bytes(a_file((b"nonsense", "a.b.c"), site.report()).getvalue())
    arguments = ["usage", "import", str(tmp_path / "reports"), "--receipts", str(tmp_path / "receipts")]
    commands = CliRunner(env={"NARROWS_SERVER_HOME": str(home)})

    shown = commands.invoke(app, arguments)
    told = commands.invoke(app, [*arguments, "--json"])

    assert (shown.exit_code, told.exit_code) == (1, 1)
    assert "took in 1 of 2 reports with 3 records" in shown.output
    assert [one["code"] for one in json.loads(told.stdout)["refused"]] == ["report_unreadable"]
    assert (tmp_path / "receipts").exists()
