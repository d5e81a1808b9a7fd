"""The whole way of usage through the server: ledger, report, receipt, resend, clone, close, recompute, invoice."""

from __future__ import annotations

import json
from pathlib import Path

from narrows_metering.recompute import app as recompute
from narrows_metering.record import Kind
from narrows_metering.testing import GB, a_delivery
from narrows_server.cli import app
from narrows_server.office import Office
from typer.testing import CliRunner

from .builders import Browser, Site, send, some_usage


def test_usage_becomes_an_invoice_that_the_customer_can_recompute(
    office: Office, browser: Browser, admin: Browser, site: Site, home: Path, tmp_path: Path
) -> None:
    # given an installation that reports, loses the answer, reports again, and is cloned
    site.record(*some_usage())
    report = site.report()
    first = send(browser, report)
    again = send(browser, report)
    assert first.status_code == 200
    assert again.json() == first.json()
    clone = site.clone(tmp_path / "clone")
    site.acknowledge(first.json()["receipt"], office)
    clone.record((Kind.DELIVERY, a_delivery(delivered=7 * GB)))
    site.record((Kind.DELIVERY, a_delivery(delivered=200 * GB)))
    assert send(browser, site.report()).status_code == 200
    forked = send(browser, clone.report())
    assert (forked.status_code, forked.json()["code"], forked.json()["seq"]) == (409, "conflict", 4)

    # when the month is closed
    commands = CliRunner(env={"NARROWS_SERVER_HOME": str(home)})
    closed = commands.invoke(app, ["close", "--month", "2026-11", "--early", "--json"])
    assert closed.exit_code == 0, closed.output
    (outcome,) = json.loads(closed.stdout)["outcomes"]
    # then 1,000 GB were delivered instead of 1,250, worth 12.50 at 0.05 a GB, and a fifth of it is ours
    assert outcome["result"] == "invoiced"
    assert outcome["total"] == {"minor": 250, "currency": "EUR"}

    # and the customer gets the same numbers from the records alone
    statement, evidence = tmp_path / "statement.json", tmp_path / "evidence"
    assert commands.invoke(app, ["statement", "show", outcome["statement"], "--out", str(statement)]).exit_code == 0
    assert commands.invoke(app, ["statement", "records", outcome["statement"], "--out", str(evidence)]).exit_code == 0
    recomputed = CliRunner().invoke(recompute, [str(statement), "--evidence", str(evidence)])
    assert recomputed.exit_code == 0, recomputed.output

    pdf = admin.get(f"/v1/invoices/{outcome['invoice']}/pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF-")
