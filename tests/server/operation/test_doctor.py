"""The doctor: what is wrong is found and said, and nothing else is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from narrows_server.cli import app
from narrows_server.office import Office
from narrows_server.operation.doctor import Finding, Outcome, examine
from narrows_server.settings import DATABASE_VARIABLE, Settings
from sqlalchemy import text
from typer.testing import CliRunner

from ..builders import NOW, Site, some_usage
from ..owner import forget_the_revision, unguard
from ..test_rebuild import report


def findings(settings: Settings, *, days: int = 0) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(settings, at=NOW + timedelta(days=days))}


def settings_with(home: Path, url: str | None = "https://narrows.example") -> Settings:
    return Settings.read({**os.environ, "NARROWS_SERVER_PUBLIC_URL": url or ""}, home=home)


def test_a_server_as_init_leaves_it_works_and_is_told_to_move_its_root_keys(home: Path) -> None:
    found = findings(settings_with(home))

    assert {name: f.outcome for name, f in found.items() if f.outcome is not Outcome.GOOD and name != "disk"} == {
        "root keys": Outcome.NOTICE
    }


@pytest.mark.parametrize(
    ("harm", "check", "says"),
    [
        (lambda home: (home / "keys" / "receipt.pem").unlink(), "keys", "receipt.pem is missing"),
        (lambda home: (home / "keys" / "license.pem").write_text("?"), "keys", "license.pem"),
        (lambda home: (home / "trust-bundle.json").unlink(), "keys", "trust-bundle.json is missing"),
        (lambda home: (home / "keys" / "lease.pem").chmod(0o644), "state folder", "lease.pem"),
        (forget_the_revision, "database", "revision None"),
    ],
    ids=["key missing", "key damaged", "bundle missing", "key readable", "database empty"],
)
def test_harm_is_named(home: Path, harm: Callable[[Path], object], check: str, says: str) -> None:
    harm(home)

    found = findings(settings_with(home))[check]

    assert found.outcome is Outcome.BAD
    assert says in found.detail
    assert found.todo


@pytest.mark.sqlite
def test_a_file_that_is_no_database_is_named(home: Path) -> None:
    for name in ("narrows.sqlite-wal", "narrows.sqlite-shm"):
        (home / name).unlink(missing_ok=True)
    (home / "narrows.sqlite").write_bytes(b"no database" * 99)

    found = findings(settings_with(home))["database"]

    assert (found.outcome, "not a database" in found.detail) == (Outcome.BAD, True)


@pytest.mark.parametrize(
    ("days", "outcome"), [(0, Outcome.GOOD), (5 * 365 - 80, Outcome.NOTICE), (5 * 365 + 1, Outcome.BAD)]
)
def test_a_trust_bundle_that_ends_is_announced(home: Path, days: int, outcome: Outcome) -> None:
    assert findings(settings_with(home), days=days)["trust bundle"].outcome is outcome


def test_a_row_that_was_changed_in_the_audit_trail_is_found(home: Path, office: Office, site: Site) -> None:
    with office.database.engine.begin() as connection:
        unguard(connection, "audit")
        connection.execute(text("UPDATE audit SET actor = 'nobody' WHERE id = 1"))

    found = findings(settings_with(home))["audit trail"]

    assert (found.outcome, "row 1" in found.detail) == (Outcome.BAD, True)


def test_reports_without_a_place_in_the_log_are_counted(home: Path, office: Office, site: Site) -> None:
    site.record(*some_usage())
    report(site, office)

    assert findings(settings_with(home))["transparency log"].outcome is Outcome.NOTICE


def test_a_clock_behind_what_was_done_is_found(home: Path, office: Office, site: Site) -> None:
    assert findings(settings_with(home), days=-2)["clock"].outcome is Outcome.BAD


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        (None, Outcome.NOTICE),
        ("https://narrows.example", Outcome.GOOD),
        ("http://127.0.0.1:8080", Outcome.GOOD),
        ("http://narrows.example", Outcome.BAD),
        ("http://localhost.example", Outcome.BAD),
    ],
)
def test_the_public_address_is_safe_or_said_not_to_be(home: Path, url: str | None, outcome: Outcome) -> None:
    assert findings(settings_with(home, url))["public address"].outcome is outcome


class TestCommands:
    def run(self, home: Path, *arguments: str, code: int = 0, database: str = "") -> str:
        environment = {"NARROWS_SERVER_HOME": str(home), "NARROWS_SERVER_PUBLIC_URL": "https://narrows.example"}
        if database:
            environment[DATABASE_VARIABLE] = database
        done = CliRunner(env=environment).invoke(app, list(arguments))
        assert done.exit_code == code, done.output
        return done.stdout

    def test_the_doctor_ends_with_1_if_something_must_be_done(self, home: Path) -> None:
        assert {one["check"] for one in json.loads(self.run(home, "doctor", "--json"))} >= {"keys", "database", "disk"}
        (home / "keys" / "receipt.pem").unlink()

        assert "receipt.pem is missing" in self.run(home, "doctor", code=1)

    def test_a_backup_is_taken_checked_and_restored(
        self, home: Path, tmp_path: Path, site: Site, another: Callable[[Path], Settings]
    ) -> None:
        backup, restored = str(tmp_path / "b"), tmp_path / "restored"
        there = another(restored).database_url

        taken = json.loads(self.run(home, "backup", backup, "--json"))
        assert json.loads(self.run(home, "backup", backup, "--check", "--json")) == taken
        assert taken["rows"]["customer"] == 1
        assert json.loads(self.run(restored, "restore", backup, "--json", database=there)) == taken
        assert "kanal" in self.run(restored, "customer", "list", database=there)
        self.run(restored, "doctor", database=there)

    def test_a_damaged_backup_is_refused_in_one_sentence(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "b").write_bytes(b"not a backup")

        self.run(tmp_path / "restored", "restore", str(tmp_path / "b"), code=2)
        assert not (tmp_path / "restored").exists()


def test_records_that_somebody_added_by_hand_are_found_on_postgresql(office: Office, home: Path) -> None:
    if office.database.engine.dialect.name == "sqlite":
        pytest.skip("the key of SQLite's table says it all")
    with office.database.transaction() as session:
        session.execute(text("INSERT INTO record VALUES ('nobody', 1, now(), 'gap', '', NULL, '{}')"))

    found = findings(settings_with(home))["record numbers"]

    assert (found.outcome, found.detail) == (
        Outcome.BAD,
        "of 1 installations the last record is not where intake left it",
    )
