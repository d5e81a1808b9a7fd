"""The doctor: one code, what was checked, what to do; and an exit code that scripts can use."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from narrows.finding import Outcome
from narrows.license.diagnosis import EXIT_ACT_SOON, EXIT_PERMITTED, EXIT_REFUSED, Diagnosis, diagnose
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_licensing.binding import Applications
from narrows_licensing.development import development_license_file
from narrows_licensing.license import LeaseTerms
from narrows_licensing.testing import NOW, Vendor, a_license
from narrows_metering.record import Kind
from narrows_metering.testing import an_encode

from tests.sdk.cli.test_app import narrows

VENDOR = Vendor()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "roots.json").write_text(VENDOR.roots.to_json())
    return Settings(
        license_path=tmp_path / "license.json", roots_path=tmp_path / "roots.json", state_folder=tmp_path / "state"
    )


def outcomes(diagnosis: Diagnosis) -> dict[str, Outcome]:
    return {finding.check: finding.outcome for finding in diagnosis.findings}


FLOATING = replace(a_license().entitlements, max_concurrent_encodes=2)


@pytest.mark.parametrize(
    ("license", "file", "days", "code", "exit_code"),
    [
        ({}, {}, 0, "valid", EXIT_PERMITTED),
        ({}, {}, 350, "expiring", EXIT_ACT_SOON),
        ({}, {}, 370, "grace", EXIT_ACT_SOON),
        ({}, {}, 400, "expired", EXIT_REFUSED),
        ({}, {"revoked": [1]}, 0, "revoked", EXIT_REFUSED),
        ({}, {"revoked": [], "suspended": [1]}, 0, "suspended", EXIT_REFUSED),
        ({"binding": Applications(ids=("com.example",))}, {}, 0, "wrong_binding", EXIT_REFUSED),
        ({"sdk_min": "9"}, {}, 0, "sdk_too_old", EXIT_REFUSED),
        ({"entitlements": FLOATING, "lease": LeaseTerms()}, {}, 0, "no_seat", EXIT_REFUSED),
    ],
)
def test_one_code_says_what_is_the_matter(
    settings: Settings, license: dict[str, Any], file: dict[str, Any], days: int, code: str, exit_code: int
) -> None:
    settings.license_path.write_text(VENDOR.license_file(a_license(**license), **file))
    diagnosis = diagnose(settings, at=NOW + timedelta(days=days))

    assert (diagnosis.code, diagnosis.exit_code) == (code, exit_code)
    assert diagnosis.sentence
    assert diagnosis.next_step


def test_everything_that_an_encode_depends_on_is_looked_at(settings: Settings) -> None:
    settings.license_path.write_text(VENDOR.license_file(a_license(), revoked=[]))
    with open_meter(settings, clock=lambda: NOW) as meter:
        meter.append(Kind.ENCODE, an_encode(), time=NOW)

    assert outcomes(diagnose(settings, at=NOW)) == dict.fromkeys(
        ["root keys", "license file", "trust bundle", "memory", "revocation list", "period"], Outcome.GOOD
    ) | {"binding": Outcome.SKIPPED, "unreported usage": Outcome.GOOD, "recorded time": Outcome.GOOD}


def test_a_missing_license_and_unreadable_roots_are_diagnosed_and_not_raised(settings: Settings) -> None:
    assert diagnose(settings, at=NOW).code == "no_license"
    broken = replace(settings, roots_path=settings.license_path)
    settings.license_path.write_text("rubbish")
    assert diagnose(broken, at=NOW).exit_code == EXIT_REFUSED
    assert diagnose(settings, at=NOW).code == "unreadable"


def test_an_unusable_state_folder_is_named(settings: Settings) -> None:
    settings.license_path.write_text(VENDOR.license_file(a_license()))
    settings.state_folder.mkdir()
    (settings.state_folder / "installation.key").write_bytes(b"too short")
    diagnosis = diagnose(settings, at=NOW)

    assert (diagnosis.code, diagnosis.exit_code) == ("usage_unavailable", EXIT_REFUSED)
    assert "installation.key" in str(diagnosis.detail)


class TestCommandLine:
    def test_a_script_reads_the_code_and_the_exit_code(self, tmp_path: Path) -> None:
        missing = narrows(tmp_path, "license", "doctor", "--json")
        assert (json.loads(missing.stdout)["code"], missing.returncode) == ("no_license", 1)
        (tmp_path / "license.json").write_text(development_license_file(datetime.now(UTC)))
        good = narrows(tmp_path, "license", "doctor", "--json")
        assert (json.loads(good.stdout)["code"], good.returncode) == ("valid", 0)
        old = datetime.now(UTC) - timedelta(days=350)
        (tmp_path / "license.json").write_text(development_license_file(old))
        soon = narrows(tmp_path, "license", "doctor")
        assert soon.returncode == 3
        assert "expiring" in soon.stdout
        assert "Next step" in soon.stdout

    def test_a_request_is_written_as_a_file_and_as_a_picture(self, tmp_path: Path) -> None:
        for name in ("request.txt", "request.png", "request.svg"):
            done = narrows(tmp_path, "license", "export-request", "--out", str(tmp_path / name), "--json")
            assert done.returncode == 0, done.stderr
            assert (tmp_path / name).stat().st_size > 300

    def test_activating_what_is_no_license_says_so_in_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "rubbish").write_text("rubbish")
        for command in ("activate", "import-response"):
            done = narrows(tmp_path, "license", command, str(tmp_path / "rubbish"))
            assert done.returncode == 1
            assert done.stderr.startswith("License")
