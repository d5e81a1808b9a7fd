"""Deliveries into the ledger."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from narrows import files
from narrows.cli.app import app
from narrows.errors import UsageError
from narrows.reporting.background import finish_reports
from narrows.savings import deliveries
from narrows.savings.deliveries import Import
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_metering.importers.formats import LogFormat
from narrows_metering.record import Kind
from typer.testing import CliRunner

from tests.sdk.builders import a_clip
from tests.sdk.vendor import Vendor, serving

LOG = """#Version: 1.0
#Fields: date time sc-bytes cs-method cs-uri-stem sc-status
2026-11-01\t10:00:00\t5000\tGET\t/v/clip.mkv\t200
2026-11-01\t10:00:01\t2500\tGET\t/v/clip.mkv\t206
2026-11-02\t10:00:01\t5000\tGET\t/v/clip.mkv\t200
2026-11-02\t10:00:02\t999\tGET\t/v/other.mkv\t200
2026-11-02\t10:00:03\t100\tGET\t/v/clip.mkv\t404
"""


def test_a_log_becomes_one_record_per_day_and_only_once(tmp_path: Path, settings: Settings) -> None:
    coded = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)
    log = tmp_path / "log"
    log.write_text(LOG)

    first = deliveries.import_deliveries([log], {"/v/clip.mkv": coded.target}, settings=settings)
    again = deliveries.import_deliveries([log], {"/v/clip.mkv": coded.target}, settings=settings)

    assert (first.record_count, first.delivered_bytes, first.request_count) == (2, 12_500, 3)
    assert first.unmatched_requests == 1
    assert (again.record_count, again.already_known) == (0, True)
    with open_meter(settings) as meter:
        _enrolled, _encode, *recorded = meter.ledger.records()
    assert {r.payload["rendition"] for r in recorded} == {coded.rendition}


def test_a_damaged_log_adds_nothing(tmp_path: Path, settings: Settings) -> None:
    coded = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)
    log = tmp_path / "log"
    log.write_text(LOG.replace("2500", "many"))
    with pytest.raises(UsageError, match="sc-bytes"):
        deliveries.import_deliveries([log], {"/v/clip.mkv": coded.target}, settings=settings)
    with open_meter(settings) as meter:
        assert meter.ledger.head().seq == 2  # Enrolment and encode.


def test_logs_that_exceed_the_bill_are_scaled_down_and_too_far_apart_held(tmp_path: Path, settings: Settings) -> None:
    coded = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)
    log, bill = tmp_path / "log", tmp_path / "bill.csv"
    log.write_text(LOG)
    served = {"/v/clip.mkv": coded.target}

    # Billed on the second day: 6,099 bytes in the log, ours and others'.
    bill.write_text("region,day,bytes\n,2026-11-01,7500\n,2026-11-02,5000\n")
    held = deliveries.import_deliveries([log], served, how=Import(usage_report=bill), settings=settings)
    assert (held.held, held.record_count) == (True, 0)

    bill.write_text("region,day,bytes\n,2026-11-01,7300\n,2026-11-02,6099\n")
    scaled = deliveries.import_deliveries([log], served, how=Import(usage_report=bill), settings=settings)
    assert (scaled.held, scaled.delivered_bytes) == (False, 7300 + 5000)
    assert [(cell.billed_bytes, cell.agreement.value) for cell in scaled.reconciled] == [
        (7300, "scaled"),
        (6099, "agrees"),
    ]


def test_a_generic_log_needs_the_names_of_its_fields(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(UsageError, match="--mapping"):
        deliveries.import_deliveries([], {}, how=Import(log_format=LogFormat.GENERIC), settings=settings)


def test_imported_deliveries_are_reported_without_an_encoder(vendor: Vendor, tmp_path: Path) -> None:
    a_clip(tmp_path / "source.y4m")
    with serving(vendor.office) as url:
        machine = vendor.equip(url=url)
        coded = files.encode(tmp_path / "source.y4m", tmp_path / "coded.mkv", settings=machine)
        (tmp_path / "log").write_text(LOG)
        deliveries.import_deliveries([tmp_path / "log"], {"/v/clip.mkv": coded.target}, settings=machine)
        assert finish_reports(timeout_seconds=60)

    assert vendor.delivered() == 12_500


def test_an_import_needs_no_license(tmp_path: Path, settings: Settings) -> None:
    coded = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)
    settings.license_path.unlink()
    (tmp_path / "log").write_text(LOG)

    imported = deliveries.import_deliveries([tmp_path / "log"], {"/v/clip.mkv": coded.target}, settings=settings)

    assert imported.record_count == 2


def test_of_a_file_that_has_grown_only_what_is_new_counts(tmp_path: Path, settings: Settings) -> None:
    coded = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)
    log, served = tmp_path / "log", {"/v/clip.mkv": coded.target}
    log.write_text(LOG)
    deliveries.import_deliveries([log], served, settings=settings)

    for size in (700, 800):  # Twice, so that the second has two earlier versions.
        log.write_text(f"{log.read_text()}2026-11-02\t23:00:00\t{size}\tGET\t/v/clip.mkv\t200\n")
        grown = deliveries.import_deliveries([log], served, settings=settings)
        assert (grown.record_count, grown.delivered_bytes, grown.request_count) == (1, size, 1)

    with open_meter(settings) as meter:
        recorded = [r.payload["bytes"] for r in meter.ledger.records() if r.kind is Kind.DELIVERY]
    assert sum(recorded) == 12_500 + 700 + 800

    other = tmp_path / "other"
    other.write_text(LOG.replace("5000", "5001"))
    assert deliveries.import_deliveries([other], served, settings=settings).delivered_bytes == 12_502


def test_a_check_compares_and_records_nothing(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)
    (tmp_path / "log").write_text(LOG)
    (tmp_path / "bill.csv").write_text("region,day,bytes\n,2026-11-01,7300\n,2026-11-02,6099\n")
    monkeypatch.setenv("NARROWS_LICENSE", str(settings.license_path))
    monkeypatch.setenv("NARROWS_STATE", str(settings.state_folder))
    command = ["usage", "import", str(tmp_path / "log"), "--map", f"/v/clip.mkv={coded.target}", "--check"]
    shown = CliRunner().invoke(app, [*command, "--usage-report", str(tmp_path / "bill.csv")])

    assert shown.exit_code == 0, shown.output
    assert re.search(r"all +2026-11-01 +7,500 +7,300 +2\.74 % +7,300 +scaled", shown.output)
    assert re.search(r"all +2026-11-02 +6,099 +6,099 +0\.00 % +6,099 +agrees", shown.output)
    with open_meter(settings) as meter:
        assert meter.ledger.head().seq == 2  # Enrolment and encode.


def test_sessions_with_the_baselines_ladder_count_apart(tmp_path: Path, settings: Settings) -> None:
    coded = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)
    (tmp_path / "log").write_text(LOG)
    imported = deliveries.import_deliveries(
        [tmp_path / "log"],
        {"/v/clip.mkv": coded.target},
        baseline_files={"/v/other.mkv": coded.target},
        settings=settings,
    )
    assert (imported.record_count, imported.unmatched_requests) == (3, 0)
    with open_meter(settings) as meter:
        arms = [r.payload.get("arm") for r in meter.ledger.records() if r.kind is Kind.DELIVERY]
    assert sorted(map(str, arms)) == ["None", "None", "baseline"]
