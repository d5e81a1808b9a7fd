"""The commands of billing: from a legal entity to a paid invoice, at a terminal and for programs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from narrows_server.cli import app
from narrows_server.office import open_office
from narrows_server.settings import Settings
from typer.testing import CliRunner

from .billing import a_customer, an_invoice
from .builders import NOW, Clock

RUNNER = CliRunner()


def run(home: Path, *arguments: str, expect: int = 0) -> str:
    done = RUNNER.invoke(app, [*arguments, "--home", str(home)])
    assert done.exit_code == expect, done.output
    return done.output


def run_json(home: Path, *arguments: str) -> Any:
    return json.loads(run(home, *arguments, "--json"))


@pytest.fixture
def billed(home: Path) -> Path:
    """A state folder with an invoice over 100.00 EUR without VAT, issued a while ago."""
    with (
        open_office(Settings.read(os.environ, home=home), clock=Clock()) as office,
        office.database.transaction() as session,
    ):
        a_customer(session)
        an_invoice(session, at=NOW)
    return home


def test_an_entity_is_set_up_shown_and_changed(home: Path) -> None:
    added = run_json(home, "entity", "add", "Narrows SAS", "--country", "FR", "--vat-id", "FR40303265045")
    run(home, "entity", "set", "vendor", "--iban", "DE02 1203 0000 0000 2020 51", "--city", "Potsdam")
    shown = {row["id"]: row for row in run_json(home, "entity", "list")}

    assert added["vat_id"] == "FR40303265045"
    assert (shown["vendor"]["city"], shown["vendor"]["iban"]) == ("Potsdam", "DE02120300000000202051")
    assert "Potsdam" not in run(home, "entity", "list")
    run(home, "entity", "numbers", "vendor", "R{year}-{number:04}", "--from", "2999-01-01")
    assert "cannot number" in run(home, "entity", "numbers", "vendor", "x", "--from", "2999-01-01", expect=2)


def test_a_customers_vat_id_is_checked_and_the_answer_of_the_authority_kept(billed: Path) -> None:
    assert run_json(billed, "billing", "set", "acme", "--vat-id", "DE136695976")["vat_id"] == "DE136695976"
    run(billed, "billing", "record-vies", "acme", "--valid", "--number", "WAPIAAAAX1")
    shown = run_json(billed, "billing", "show", "acme")

    assert [(check["method"][:6], check["consultation_number"]) for check in shown["checks"]] == [
        ("VIES", "WAPIAAAAX1"),
        ("syntax", None),
    ]
    assert "no VAT id" in run(billed, "billing", "set", "acme", "--vat-id", "DE136695970", expect=2)


def test_an_invoice_is_credited_in_part_paid_and_settled(billed: Path) -> None:
    note = run_json(billed, "invoice", "credit", "INV-2026-000001", "--line", "1=25.00", "--reason", "Twice")
    paid = run_json(billed, "payment", "record", "acme", "80.00", "--reference", "E2E-1")
    (invoice,) = run_json(billed, "invoice", "list", "--customer", "acme")[:1]

    assert (note["number"], note["total"]["minor"]) == ("CRN-2026-000001", 2_500)
    assert (paid["amount"]["minor"], paid["unused"]["minor"]) == (8_000, 500)
    assert (invoice["number"], invoice["standing"], invoice["receivable"]["minor"]) == ("INV-2026-000001", "paid", 0)
    assert run_json(billed, "invoice", "list", "--unpaid") == []
    balance = run_json(billed, "journal", "balance")
    assert balance["difference_minor"] == 0
    assert "receivable" in run(billed, "invoice", "show", "INV-2026-000001")
    assert "customer_credit" in run(billed, "journal", "list", "--customer", "acme")


def test_a_payment_is_reversed_applied_and_refunded(billed: Path) -> None:
    bounced = run_json(billed, "payment", "record", "acme", "100.00")["id"]
    run(billed, "payment", "reverse", bounced, "--note", "returned")
    paid = run_json(billed, "payment", "record", "acme", "150", "--invoice", "INV-2026-000001")
    assert paid["unused"]["minor"] == 5_000
    assert "cannot be applied" in run(billed, "payment", "apply", paid["id"], "INV-2026-000001", expect=2)
    run(billed, "payment", "refund", paid["id"], "--amount", "50.00")

    rows = run_json(billed, "payment", "list")
    assert sorted(row["kind"] for row in rows) == ["received", "received", "refund", "reversal"]
    account = run_json(billed, "payment", "account", "acme", "--from", "2020-01-01", "--to", "2099-12-31")
    assert account["closing_minor"] == 0


@pytest.mark.parametrize("amount", ["1.005", "ten", "NaN", "-5"])
def test_an_amount_that_is_none_is_refused(billed: Path, amount: str) -> None:
    done = RUNNER.invoke(app, ["payment", "record", "--home", str(billed), "--", "acme", amount])

    assert done.exit_code == 2
    assert run_json(billed, "payment", "list") == []


def test_documents_and_exports_are_written_to_files(billed: Path, tmp_path: Path) -> None:
    days = ("--from", "2026-11-01", "--to", "2026-11-30")
    for name, arguments in {
        "i.pdf": ("invoice", "pdf", "INV-2026-000001"),
        "i.xml": ("invoice", "xml", "INV-2026-000001"),
        "u.xml": ("invoice", "xml", "INV-2026-000001", "--syntax", "ubl"),
        "invoices.csv": ("export", "csv", "invoices"),
        "lines.csv": ("export", "csv", "lines", *days),
        "payments.csv": ("export", "csv", "payments"),
        "journal.csv": ("export", "csv", "journal"),
        "datev.csv": ("export", "datev", *days, "--adviser", "1001", "--client", "7", "--chart", "04"),
        "focus.csv": ("export", "focus", "--customer", "acme"),
    }.items():
        run(billed, *arguments, "--out", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().count(b"\n") >= 1, name
    for option in ("--pdf", "--csv"):
        run(billed, "payment", "account", "acme", *days, option, str(tmp_path / option))
        assert (tmp_path / option).stat().st_size > 100


@pytest.mark.parametrize(
    "command",
    [
        ("entity", "add"), ("entity", "set"), ("entity", "numbers"), ("billing", "set"), ("billing", "record-vies"),
        ("invoice", "list"), ("invoice", "credit"), ("invoice", "preview"), ("invoice", "xml"), ("payment", "record"),
        ("payment", "account"), ("payment", "overdue"), ("journal", "balance"), ("export", "csv"), ("export", "datev"),
        ("export", "focus"), ("export", "audit-pack"),
    ],
)  # fmt: skip
def test_help_has_an_example(command: tuple[str, str]) -> None:
    done = RUNNER.invoke(app, [*command, "--help"], env={"COLUMNS": "200"})

    assert done.exit_code == 0
    assert f"narrows-server {' '.join(command)}" in done.output
