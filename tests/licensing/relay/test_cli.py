"""`narrows-relay` from the request to the file of reports, as a customer types it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from narrows_licensing.relay.cli import main
from narrows_licensing.relay.home import RelayHome
from narrows_licensing.relay.store import Store
from narrows_licensing.request import read_request

from .sites import VENDOR, a_response


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(arguments) == 0, capsys.readouterr().err
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def test_a_relay_is_certified_and_hands_its_reports_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ("--home", str(tmp_path / "relay"))
    request = tmp_path / "request.txt"
    relay_id = run(capsys, *home, "request", "--license", "LIC-0001", "--out", str(request))["relay"]
    assert read_request(request.read_text().strip()).installation_id == relay_id

    relay = RelayHome.at(tmp_path / "relay")
    now = datetime.now(UTC).replace(microsecond=0)
    (tmp_path / "roots.json").write_text(VENDOR.roots.to_json())
    response = a_response(relay, seats=20, issued_at=now, expires_at=now + timedelta(days=1))
    (tmp_path / "response.json").write_text(response)
    run(capsys, *home, "import", str(tmp_path / "response.json"), "--roots", str(tmp_path / "roots.json"))
    store = Store(relay.database)
    store.keep_report(b"report", "a..b", at=now)
    store.close()

    status = run(capsys, *home, "status")
    assert status["pools"] == [{"license": "LIC-0001", "seats": 20, "taken": 0}]
    assert status["reports_waiting"] == 1
    assert run(capsys, *home, "export", "--out", str(tmp_path / "reports.jsonl"))["reports"] == 1
    (tmp_path / "receipts.jsonl").write_text(
        '{"format": "narrows-receipts/1"}\n{"refused": {}, "reference": "1"}\n{"count": 1}\n'
    )
    assert run(capsys, *home, "receipts", str(tmp_path / "receipts.jsonl"))["reports_waiting"] == 1


def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--home", str(tmp_path), "status"]) == 1
    assert "no certificate yet" in capsys.readouterr().err
