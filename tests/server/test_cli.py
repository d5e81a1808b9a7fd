"""The command line: the same facts for people and programs, and errors that say what to do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from narrows_licensing.document import open_license
from narrows_licensing.license import License
from narrows_licensing.qr import to_qr_text
from narrows_licensing.response import Response
from narrows_licensing.trust import Roots
from narrows_server.cli import app
from narrows_server.clock import utc_now
from narrows_server.office import Office
from narrows_server.proposals.models import Proposal
from typer.testing import CliRunner, Result

from ..licensing.test_certificate import KEY, REQUEST
from .builders import Browser, Site, send, some_contract, some_usage

TARIFF = {
    "name": "CDN 2026",
    "currency": "EUR",
    "tiers": [{"up_to_gb": "10000", "price_per_gb": "0.05"}, {"price_per_gb": "0.04"}],
}


@pytest.fixture
def commands(home: Path) -> CliRunner:
    return CliRunner(env={"NARROWS_SERVER_HOME": str(home)})


def run(commands: CliRunner, *arguments: str, expect: int = 0, stdin: str | None = None) -> Result:
    done = commands.invoke(app, list(arguments), input=stdin)
    assert done.exit_code == expect, done.output
    return done


def issue(commands: CliRunner, file: Path) -> str:
    """A license under a contract, written to *file*; returns its id."""
    add_contract(commands)
    order = ("--customer", "kanal", "--contract", "kanal-1", "--out", str(file), "--json")
    return str(json.loads(run(commands, "license", "issue", *order).stdout)["id"])


def add_contract(commands: CliRunner) -> None:
    run(commands, "customer", "add", "Kanal Fünf AB", "--id", "kanal")
    run(commands, "tariff", "add", "-", stdin=json.dumps(TARIFF))
    contract = some_contract(tariff="cdn-2026", share=[{"percent": "12.5"}])
    run(commands, "contract", "add", "-", "--id", "kanal-1", stdin=json.dumps(contract))


def test_from_init_to_a_license_that_an_sdk_accepts(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "license.json"
    commands = CliRunner()
    made = json.loads(run(commands, "init", "--home", str(home), "--vendor-name", "Narrows", "--json").stdout)
    assert made["admin_key"] == (home / "admin.key").read_text().strip()

    commands = CliRunner(env={"NARROWS_SERVER_HOME": str(home)})
    add_contract(commands)
    issue = ("--customer", "kanal", "--contract", "kanal-1", "--report-url", "http://127.0.0.1:8000")
    issued = json.loads(run(commands, "license", "issue", *issue, "--out", str(file), "--json").stdout)

    opened = open_license(file.read_text(), roots=Roots.from_json(Path(made["roots"]).read_text()), at=utc_now())
    assert isinstance(opened, License)
    assert (opened.license_id, opened.metering.report_url) == (issued["id"], "http://127.0.0.1:8000")


def test_a_license_that_could_not_be_written_is_not_kept(commands: CliRunner, tmp_path: Path) -> None:
    add_contract(commands)
    issue = ("license", "issue", "--customer", "kanal", "--contract", "kanal-1")
    run(commands, *issue, "--out", str(tmp_path / "no" / "such" / "folder"), expect=2)

    assert json.loads(run(commands, "license", "list", "--json").stdout) == []


def test_a_revoked_license_is_listed_as_revoked(commands: CliRunner) -> None:
    add_contract(commands)
    issue = ("license", "issue", "--customer", "kanal", "--contract", "kanal-1", "--json")
    license_id = json.loads(run(commands, *issue).stdout)["id"]
    run(commands, "license", "revoke", license_id)

    assert [row["state"] for row in json.loads(run(commands, "license", "list", "--json").stdout)] == ["revoked"]
    assert license_id in run(commands, "license", "list").stdout


def test_what_people_see_is_what_programs_see(
    office: Office, commands: CliRunner, browser: Browser, site: Site, tmp_path: Path
) -> None:
    site.record(*some_usage())
    send(browser, site.report())
    run(commands, "close", "--month", "2026-11", "--early")
    (invoice,) = json.loads(run(commands, "invoice", "list", "--json").stdout)

    assert invoice["number"] in run(commands, "invoice", "list").stdout
    assert "EUR 2.00" in run(commands, "invoice", "list").stdout
    assert site.installation_id in run(commands, "usage", "list").stdout
    assert "800.0 GB" in run(commands, "usage", "list").stdout
    assert "kanal-1.2026-11" in run(commands, "statement", "list").stdout
    run(commands, "invoice", "pdf", invoice["number"], "--out", str(tmp_path / "invoice.pdf"))
    assert (tmp_path / "invoice.pdf").read_bytes().startswith(b"%PDF-")


def test_a_held_contract_makes_the_close_exit_with_1(commands: CliRunner) -> None:
    add_contract(commands)

    assert "the month is not over" in run(commands, "close", "--month", "2999-01", expect=1).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("license", "revoke", "lic_none"), 1, "there is no license lic_none"),
        (("invoice", "pdf", "INV-1", "--out", "x.pdf"), 1, "there is no invoice INV-1"),
        (("close", "--month", "2026-13"), 2, "not a month"),
        (("close", "--month", "November"), 2, "not a month"),
        (("tariff", "add", "no/such/file.json"), 2, "cannot be read"),
        (("tariff", "add", "-"), 2, "not JSON"),
        (("init", "--vendor-email", "x@example.org"), 2, "--vendor-name"),
        (("customer", "remove"), 2, "No such command"),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(
    commands: CliRunner, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    done = run(commands, *arguments, expect=code)

    assert complaint in done.stderr
    assert "Traceback" not in done.output
    assert done.stdout == ""


def test_without_a_state_folder_the_way_to_name_one_is_said() -> None:
    done = run(CliRunner(env={"NARROWS_SERVER_HOME": None}), "customer", "list", expect=2)

    assert "--home" in done.stderr


def test_a_folder_without_init_says_to_run_it(tmp_path: Path) -> None:
    done = run(CliRunner(), "customer", "list", "--home", str(tmp_path), expect=1)

    assert "narrows-server init" in done.stderr


@pytest.mark.parametrize("command", [("license", "issue"), ("close",), ("tariff", "add"), ("serve",)])
def test_help_shows_an_example(commands: CliRunner, command: tuple[str, ...]) -> None:
    help_text = run(commands, *command, "--help").stdout

    assert f"narrows-server {' '.join(command)}" in re.sub(r"\s+", " ", help_text)


def test_a_served_office_answers_says_where_it_is_and_ends_cleanly(home: Path) -> None:
    code = "from narrows_server.cli import main; main()"
    environment = {**os.environ, "NARROWS_SERVER_HOME": str(home)}
    with subprocess.Popen(
        [sys.executable, "-c", code, "serve"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().removeprefix("listening on ").strip()
        try:
            assert json.loads((home / "server.json").read_text()) == {"url": url, "pid": process.pid}
            with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
                assert json.load(answer)["status"] == "ok"
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0, process.stderr.read()
    assert not (home / "server.json").exists()


def test_a_license_is_renewed_transferred_suspended_and_reinstated_at_the_command_line(
    commands: CliRunner, tmp_path: Path
) -> None:
    license_id = issue(commands, tmp_path / "one.json")
    renewed = json.loads(run(commands, "license", "renew", license_id, "--days", "30", "--json").stdout)
    assert renewed["replaces"] == license_id
    suspended = json.loads(run(commands, "license", "suspend", license_id, "--json").stdout)
    reinstated = json.loads(run(commands, "license", "reinstate", license_id, "--json").stdout)
    assert (suspended["state"], reinstated["state"]) == ("suspended", "valid")
    moved = tmp_path / "moved.json"
    run(commands, "license", "transfer", license_id, "--bind", "application:com.example.player", "--out", str(moved))
    states = {row["id"]: row["state"] for row in json.loads(run(commands, "license", "list", "--json").stdout)}
    assert states[license_id] == "revoked"
    assert sorted(states.values()) == ["revoked", "valid", "valid"]
    published = json.loads(run(commands, "revocations", "publish", "--json").stdout)
    assert published["version"] == 4


def test_with_two_people_a_license_waits_for_the_second(
    commands: CliRunner, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_contract(commands)
    monkeypatch.setenv("NARROWS_SERVER_TWO_PERSON", "1")
    order = ("license", "issue", "--customer", "kanal", "--contract", "kanal-1", "--json")
    proposal = json.loads(run(commands, *order).stdout)["proposal"]
    waiting = json.loads(run(commands, "license", "proposals", "--json").stdout)
    assert [row["id"] for row in waiting] == [proposal]
    monkeypatch.setenv("LOGNAME", "somebody-else")  # Who is at the terminal is not what the environment says.
    run(commands, "license", "approve", proposal, expect=1)
    with office.database.transaction() as session:
        session.get_one(Proposal, proposal).proposer = "admin:anna"
    issued = json.loads(run(commands, "license", "approve", proposal, "--json").stdout)
    assert issued["state"] == "valid"


@pytest.mark.parametrize("binding", ["nonsense", "application:", "installation:x", "request:/nowhere", "workload:/x"])
def test_a_binding_that_can_not_be_meant_is_refused(commands: CliRunner, tmp_path: Path, binding: str) -> None:
    license_id = issue(commands, tmp_path / "one.json")
    done = commands.invoke(app, ["license", "transfer", license_id, "--bind", binding])

    assert done.exit_code == 2


def test_an_installation_is_enrolled_by_hand_and_taken_back(commands: CliRunner, tmp_path: Path) -> None:
    license_id = issue(commands, tmp_path / "one.json")
    asked = replace(REQUEST, asked_at=utc_now().replace(microsecond=0))
    (tmp_path / "request.txt").write_text(to_qr_text(asked.sign(KEY)))
    order = ("license", "enrol", str(tmp_path / "request.txt"), "--customer", "kanal", "--license", license_id)
    answered = json.loads(run(commands, *order, "--out", str(tmp_path / "response.json"), "--json").stdout)
    run(commands, *order, "--out", str(tmp_path / "response.svg"))
    run(commands, "license", "log", "--customer", "kanal", "--out", str(tmp_path / "log.json"))
    run(commands, "license", "withdraw", answered["certificate"])

    assert answered["subject"] == REQUEST.installation_id
    assert Response.from_text((tmp_path / "response.json").read_text()).license is not None
    logged = json.loads((tmp_path / "log.json").read_text())["entries"]
    assert [entry["kind"] for entry in logged] == ["license", "installation", "installation"]


def test_rates_credit_and_cdn_invoices_are_recorded_by_hand(commands: CliRunner) -> None:
    add_contract(commands)
    run(commands, "rate", "add", "USD", "EUR", "0.9215", "--on", "2026-11-30")
    assert json.loads(run(commands, "rate", "list", "--json").stdout)[0]["rate"] == "0.9215"
    assert "EUR 100.00" in run(commands, "credit", "add", "kanal-1", "100.00", "--reference", "PO 7").stdout
    run(commands, "credit", "pay-out", "kanal-1", "40.00")
    shown = json.loads(run(commands, "credit", "show", "kanal-1", "--json").stdout)
    assert (shown["balance_minor"], len(shown["movements"])) == (6_000, 2)
    run(commands, "cdn-invoice", "add", "kanal-1", "2026-11", "cloudfront", "41250.17")
    assert "not a number" in run(commands, "credit", "add", "kanal-1", "much", expect=2).stderr
    assert "EUR has 2 decimals" in run(commands, "credit", "add", "kanal-1", "0.001", expect=2).stderr
    assert "has 6000" in run(commands, "credit", "pay-out", "kanal-1", "60.01", expect=2).stderr


def test_a_contract_is_amended_previewed_and_its_history_shown(commands: CliRunner) -> None:
    add_contract(commands)
    patch = json.dumps({"minimum": {"month": "500.00"}})
    order = ("contract", "amend", "kanal-1", "-", "--effective", "2026-12-16", "--reason", "agreed on 1 December")
    assert "nothing is kept" in run(commands, *order, "--preview", stdin=patch).stdout
    assert "version 2" in run(commands, *order, stdin=patch).stdout
    history = json.loads(run(commands, "contract", "history", "kanal-1", "--json").stdout)
    assert [(row["number"], row["effective_on"], row["reason"]) for row in history] == [
        (1, "2026-11-01", None),
        (2, "2026-12-16", "agreed on 1 December"),
    ]
    assert "minimum" in run(commands, "contract", "history", "kanal-1").stdout
    shown = json.loads(run(commands, "contract", "show", "kanal-1", "--on", "2026-12-15").stdout)
    assert shown["minimum"] == {"month": None, "year": None}
    assert "not a member" in run(commands, *order, stdin='{"minimal": {}}', expect=2).stderr
    assert "kanal-1" in run(commands, "contract", "list").stdout
    assert json.loads(run(commands, "tariff", "show", "cdn-2026").stdout)["currency"] == "EUR"


def test_a_preview_shows_lines_and_a_close_takes_the_steps(
    office: Office, commands: CliRunner, browser: Browser, site: Site
) -> None:
    site.record(*some_usage())
    send(browser, site.report())
    previewed = json.loads(run(commands, "close", "--month", "2026-11", "--preview", "--json").stdout)
    assert [line["minor"] for line in previewed["previews"][0]["lines"]] == [200]
    assert "20 % of 10.00 EUR saved" in run(commands, "close", "--month", "2026-11", "--preview").stdout
    closed = json.loads(run(commands, "close", "--month", "2026-11", "--early", "--json").stdout)
    assert [outcome["result"] for outcome in closed["outcomes"]] == ["invoiced"]
    assert "accepted" in run(commands, "statement", "list").stdout
    assert "cannot be sent" in run(commands, "statement", "send", "kanal-1.2026-11", expect=2).stderr
