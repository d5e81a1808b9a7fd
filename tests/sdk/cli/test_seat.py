"""`narrows license borrow | bring-back`, against a relay on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from narrows.cli.app import app
from narrows_licensing.license import License
from narrows_licensing.relay.web import RelayServer
from typer.testing import CliRunner

from tests.licensing.relay.sites import VENDOR, SiteRelay, a_floating_license


def a_license_of_today() -> License:
    now = datetime.now(UTC).replace(microsecond=0)
    return a_floating_license(issued_at=now, not_before=now, expires_at=now + timedelta(days=365), sdk_min="0.0.1")


@pytest.fixture
def relay(tmp_path: Path) -> SiteRelay:
    relay = SiteRelay.open(tmp_path / "relay", expires_at=datetime.now(UTC) + timedelta(days=365))
    relay.clock.at = datetime.now(UTC)
    return relay


@pytest.fixture
def environment(tmp_path: Path, relay: SiteRelay) -> Iterator[dict[str, str]]:
    (tmp_path / "license.json").write_text(VENDOR.license_file(a_license_of_today()))
    (tmp_path / "roots.json").write_text(VENDOR.roots.to_json())
    with RelayServer(("127.0.0.1", 0), relay.desk) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield {
            "NARROWS_LICENSE": str(tmp_path / "license.json"),
            "NARROWS_ROOTS": str(tmp_path / "roots.json"),
            "NARROWS_STATE": str(tmp_path / "state"),
            "NARROWS_RELAY": f"http://127.0.0.1:{server.server_port}",
        }
        server.shutdown()
        thread.join()
    relay.store.close()


def test_a_seat_is_borrowed_for_days_and_brought_back(environment: dict[str, str], relay: SiteRelay) -> None:
    borrowed = CliRunner().invoke(app, ["license", "borrow", "--days", "7", "--json"], env=environment)
    assert borrowed.exit_code == 0, borrowed.output
    until = datetime.fromisoformat(json.loads(borrowed.stdout)["borrowed_until"])
    assert timedelta(days=6, hours=23) < until - datetime.now(UTC) <= timedelta(days=7)
    assert relay.occupied() == 1

    back = CliRunner().invoke(app, ["license", "bring-back"], env=environment)
    assert back.exit_code == 0, back.output
    assert relay.occupied() == 0
    assert CliRunner().invoke(app, ["license", "bring-back"], env=environment).exit_code == 1


def test_a_seat_is_not_lent_for_longer_than_agreed(environment: dict[str, str]) -> None:
    refused = CliRunner().invoke(app, ["license", "borrow", "--days", "8"], env=environment)

    assert refused.exit_code == 1
    assert "for 7 days at most" in refused.output
