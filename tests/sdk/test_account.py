"""Deliveries into the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from narrows import account, files
from narrows.background import finish_reports
from narrows.errors import UsageError
from narrows.settings import Settings
from narrows.usage import open_meter

from .builders import a_clip
from .vendor import Vendor, serving

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

    first = account.import_deliveries(log, {"/v/clip.mkv": coded.target}, settings=settings)
    again = account.import_deliveries(log, {"/v/clip.mkv": coded.target}, settings=settings)

    assert (first.record_count, first.delivered_bytes, first.request_count) == (2, 12_500, 3)
    assert first.unmatched_requests == 1
    assert (again.record_count, again.already_known) == (0, True)
    with open_meter(settings) as meter:
        _enrolled, _encode, *deliveries = meter.ledger.records()
    assert {r.payload["rendition"] for r in deliveries} == {coded.rendition}


def test_a_damaged_log_adds_nothing(tmp_path: Path, settings: Settings) -> None:
    coded = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)
    log = tmp_path / "log"
    log.write_text(LOG.replace("2500", "many"))
    with pytest.raises(UsageError, match="sc-bytes"):
        account.import_deliveries(log, {"/v/clip.mkv": coded.target}, settings=settings)
    with open_meter(settings) as meter:
        assert meter.ledger.head().seq == 2  # Enrolment and encode.


def test_imported_deliveries_are_reported_without_an_encoder(vendor: Vendor, tmp_path: Path) -> None:
    a_clip(tmp_path / "source.y4m")
    with serving(vendor.office) as url:
        machine = vendor.equip(url=url)
        coded = files.encode(tmp_path / "source.y4m", tmp_path / "coded.mkv", settings=machine)
        (tmp_path / "log").write_text(LOG)
        account.import_deliveries(tmp_path / "log", {"/v/clip.mkv": coded.target}, settings=machine)
        assert finish_reports(timeout_seconds=60)

    assert vendor.delivered() == 12_500


def test_an_import_needs_no_license(tmp_path: Path, settings: Settings) -> None:
    coded = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)
    settings.license_path.unlink()
    (tmp_path / "log").write_text(LOG)

    assert account.import_deliveries(tmp_path / "log", {"/v/clip.mkv": coded.target}, settings=settings).record_count
