"""Probes, metrics and the log: enough to keep a server running, and nothing that is nobody's business."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from narrows_server.access.roles import Action
from narrows_server.app import create_app
from narrows_server.office import Office
from narrows_server.operation.observing import set_up_log
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from ..api import a_key
from ..builders import Browser, Site, some_usage
from ..test_rebuild import report


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, as a program reads it."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    set_up_log(stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)


def lines(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.fixture
def take_away(office: Office, request: pytest.FixtureRequest) -> Callable[[], None]:
    """Put the office's database out of reach."""

    def take() -> None:
        place = office.settings.home / "narrows.sqlite"
        if not place.exists():
            request.getfixturevalue("postgres").drop(office.settings.database_url)
            return
        place.rename(office.settings.home / "away")
        place.mkdir()

    return take


class TestProbes:
    def test_a_server_whose_database_is_away_lives_but_is_not_ready(
        self, office: Office, browser: Browser, take_away: Callable[[], None]
    ) -> None:
        assert (browser.get("/live").status_code, browser.get("/health").status_code) == (200, 200)
        office.database.close()
        take_away()

        assert browser.get("/live").status_code == 200
        assert browser.get("/health").json() == {"status": "the database does not answer", "version": "0.1.0"}
        assert browser.get("/health").status_code == 503

    def test_a_schema_of_another_release_is_not_ready(self, office: Office, browser: Browser) -> None:
        with office.database.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))

        assert browser.get("/health").status_code == 503
        assert "0001" in browser.get("/health").json()["status"]


class TestMetrics:
    def scrape(self, office: Office, browser: Browser) -> dict[str, float]:
        key = a_key(office, frozenset({Action.BOOKS_READ}))
        answer = browser.get("/metrics", Authorization=f"Bearer {key}")
        assert answer.status_code == 200
        return {
            f"{sample.name}{sorted(sample.labels.values())}": sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    def test_they_take_a_permission(self, browser: Browser) -> None:
        assert browser.get("/metrics").status_code == 401

    def test_usage_that_was_taken_in_is_counted(self, office: Office, site: Site, browser: Browser) -> None:
        site.record(*some_usage())
        report(site, office)

        found = self.scrape(office, browser)

        assert found["narrows_installations[]"] == 1
        assert found["narrows_records[]"] == 4
        assert found["narrows_log_waiting[]"] == 1

    def test_requests_are_counted_by_route_and_not_by_path(self, office: Office, browser: Browser) -> None:
        for number in range(3):
            browser.get(f"/v1/licenses/secret-{number}")
        browser.get("/no/such/page")

        found = self.scrape(office, browser)

        assert found["narrows_requests_total['/v1/licenses/{license_id}', '401', 'GET']"] == 3
        assert found["narrows_requests_total['(none)', '404', 'GET']"] == 1
        assert not any("secret" in name for name in found)

    def test_two_applications_do_not_count_for_each_other(self, office: Office, browser: Browser) -> None:
        browser.get("/v1/licenses")

        assert not any("/v1/licenses'" in name for name in self.scrape(office, Browser(create_app(office))))


class TestLog:
    def test_a_request_is_one_line_with_its_id_and_without_secrets(
        self, log: io.StringIO, office: Office, browser: Browser
    ) -> None:
        key = a_key(office, frozenset({Action.LICENSES_READ}))
        answer = browser.get("/v1/licenses/a-license?token=hush", Authorization=f"Bearer {key}")

        (line,) = [one for one in lines(log) if one["event"] == "request"]
        assert line["route"] == "/v1/licenses/{license_id}"
        assert line["status"] == answer.status_code == 404
        assert line["request_id"] == answer.headers["X-Request-Id"]
        assert str(line["actor"]).startswith("key:")
        for secret in (key, "hush", "a-license"):
            assert secret not in log.getvalue()

    def test_probes_are_not_logged_unless_they_fail(self, log: io.StringIO, office: Office, browser: Browser) -> None:
        browser.get("/live")
        browser.get("/health")
        assert lines(log) == []

        with office.database.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        browser.get("/health")
        assert [line["status"] for line in lines(log)] == [503]

    def test_a_fault_is_logged_with_the_id_that_its_caller_was_told(self, home: Path) -> None:
        # With the real web server, because it is what logs a fault.
        code = (
            "from narrows_server import app\n"
            "from narrows_server.operation import endpoints\n"
            "made = app.create_app\n"
            "def create(*a, **k):\n"
            "    it = made(*a, **k)\n"
            "    it.get('/fault')(lambda: 1 / 0)\n"
            "    return it\n"
            "app.create_app = create\n"
            "from narrows_server.cli import main; main()\n"
        )
        environment = {**os.environ, "NARROWS_SERVER_HOME": str(home)}
        with subprocess.Popen(
            [sys.executable, "-c", code, "serve"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("listening on ").strip()
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{url}/fault", timeout=10)
            told = json.load(refused.value)["request_id"]
            process.send_signal(signal.SIGTERM)
            _, logged = process.communicate(timeout=20)

        found = [json.loads(line) for line in logged.splitlines()]
        assert {line["request_id"] for line in found} == {told}
        assert any("ZeroDivisionError" in str(line.get("exception")) for line in found)
