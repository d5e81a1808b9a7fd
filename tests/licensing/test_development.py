"""The development license: anybody can have one, everything works under it, and it is marked."""

from __future__ import annotations

from datetime import timedelta

from narrows_licensing.development import (
    DEVELOPMENT_KEY,
    DEVELOPMENT_PERIOD,
    DEVELOPMENT_PRESETS,
    development_license,
    development_license_file,
)
from narrows_licensing.document import DEVELOPMENT_PUBLIC_KEY, LicenseFile, open_license
from narrows_licensing.entitlement import PIXELS_MAX
from narrows_licensing.license import License
from narrows_licensing.policy import Circumstances, evaluate
from narrows_licensing.testing import NOW, Vendor
from narrows_licensing.verdict import Granted, Reason, Refused


def test_the_verifier_knows_the_public_half_of_the_published_key() -> None:
    assert DEVELOPMENT_KEY.public_key() == DEVELOPMENT_PUBLIC_KEY


def test_the_file_opens_as_the_license_under_any_roots() -> None:
    for name in ("one vendor", "another"):
        opened = open_license(development_license_file(NOW), roots=Vendor(name=name).roots, at=NOW)
        assert opened == development_license(NOW)


def test_every_preset_and_size_is_granted_and_marked_as_development() -> None:
    license = development_license(NOW)
    for preset in DEVELOPMENT_PRESETS:
        verdict = evaluate(license, Circumstances(now=NOW, preset=preset, pixels=PIXELS_MAX, sdk_version="0.1.0"))
        assert isinstance(verdict, Granted)
        assert verdict.is_development


def test_it_lasts_one_year() -> None:
    license = development_license(NOW)
    last = evaluate(license, Circumstances(now=NOW + DEVELOPMENT_PERIOD - timedelta(seconds=1)))
    after = evaluate(license, Circumstances(now=NOW + DEVELOPMENT_PERIOD))

    assert isinstance(last, Granted)
    assert isinstance(after, Refused)
    assert after.reason is Reason.EXPIRED


def test_the_same_moment_gives_the_same_file() -> None:
    assert development_license_file(NOW) == development_license_file(NOW + timedelta(microseconds=999_999))


def test_it_names_no_place_to_report_to() -> None:
    license = open_license(development_license_file(NOW), roots=Vendor().roots, at=NOW)

    assert isinstance(license, License)
    assert license.metering.report_url is None
    assert LicenseFile.from_json(development_license_file(NOW)).bundle is None
