"""The license is asked once, before an encode, and every refusal says what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from narrows.errors import LicenseRefused, LicenseUnreadable
from narrows.gate import Permission, require_permission
from narrows.options import Preset
from narrows.settings import Settings
from narrows_licensing.development import DEVELOPMENT_KEY, development_license, development_license_file
from narrows_licensing.document import LicenseFile
from narrows_licensing.license import Kind, License
from narrows_licensing.signature import Typ, sign
from narrows_licensing.verdict import Reason

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def permission(
    settings: Settings, *, now: datetime = NOW, seen: datetime | None = None, pixels: int = 4096
) -> Permission:
    return require_permission(settings, now=now, latest_time_seen=seen, preset=Preset.MEDIUM, pixels=pixels)


def write(settings: Settings, license: License, typ: Typ = Typ.LICENSE) -> None:
    token = sign(license.claims(), typ=typ, key=DEVELOPMENT_KEY)
    settings.license_path.write_text(LicenseFile(token=token, bundle=None, revocations=None).to_json())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(license_path=tmp_path / "license.json", roots_path=None, state_folder=tmp_path / "state")
    made.license_path.write_text(development_license_file(NOW))
    return made


def reason_of(settings: Settings, *, now: datetime = NOW, seen: datetime | None = None, pixels: int = 4096) -> Reason:
    with pytest.raises(LicenseRefused) as refused:
        permission(settings, now=now, seen=seen, pixels=pixels)
    assert refused.value.next_step in str(refused.value)
    return refused.value.reason


def test_a_development_license_permits(settings: Settings) -> None:
    assert permission(settings).granted.is_development


def test_an_expired_license_is_refused(settings: Settings) -> None:
    assert reason_of(settings, now=NOW + timedelta(days=366)) is Reason.EXPIRED


def test_a_clock_wound_back_is_refused(settings: Settings) -> None:
    assert reason_of(settings, seen=NOW + timedelta(days=2)) is Reason.CLOCK_WOUND_BACK
    assert permission(settings, seen=NOW + timedelta(hours=20))


def test_a_picture_above_the_limit_is_refused(settings: Settings) -> None:
    small = development_license(NOW)
    write(settings, replace(small, entitlements=replace(small.entitlements, max_pixels=1000)))

    assert reason_of(settings) is Reason.OVER_LIMIT


def test_a_document_of_another_type_is_not_a_license(settings: Settings) -> None:
    write(settings, development_license(NOW), Typ.REPORT)

    assert reason_of(settings) is Reason.UNREADABLE


def test_the_public_key_signs_no_production_license(settings: Settings) -> None:
    write(settings, replace(development_license(NOW), kind=Kind.PRODUCTION))

    assert reason_of(settings) is Reason.UNTRUSTED_KEY


def test_binary_rubbish_is_unreadable(settings: Settings) -> None:
    settings.license_path.write_bytes(bytes(range(256)))
    with pytest.raises(LicenseUnreadable):
        permission(settings)


def test_unreadable_root_keys_are_explained(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(LicenseUnreadable, match="NARROWS_ROOTS"):
        permission(replace(settings, roots_path=tmp_path / "nowhere.json"))
