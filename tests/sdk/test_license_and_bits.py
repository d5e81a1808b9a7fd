"""A license decides whether an encode starts, and nothing after that: not one bit, not one frame, no decode."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import narrows
import pytest
from narrows.errors import LicenseRefused
from narrows.settings import Settings
from narrows_licensing.testing import Vendor, a_license

from .builders import a_picture

VENDOR = Vendor()
NOW = datetime.now(UTC).replace(microsecond=0)
PICTURES = [a_picture(shift=i) for i in range(3)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "roots.json").write_text(VENDOR.roots.to_json())
    return Settings(
        license_path=tmp_path / "license.json", roots_path=tmp_path / "roots.json", state_folder=tmp_path / "state"
    )


def put(settings: Settings, *, days_left: int, revoked: list[int] | None = None, version: int = 1) -> None:
    """A license that was issued two years ago and expires in so many days, with fourteen days of grace."""
    license = replace(
        a_license(),
        issued_at=NOW - timedelta(days=730),
        not_before=NOW - timedelta(days=730),
        expires_at=NOW + timedelta(days=days_left),
    )
    bundle = VENDOR.bundle(issued_at=NOW - timedelta(days=730), expires_at=NOW + timedelta(days=730))
    keys = tuple(replace(key, not_before=NOW - timedelta(days=740)) for key in bundle.keys)
    settings.license_path.write_text(
        VENDOR.license_file(license, bundle=replace(bundle, keys=keys), revoked=revoked, list_version=version)
    )


def coded(settings: Settings) -> list[bytes]:
    with narrows.Encoder(width=64, height=48, settings=settings) as encoder:
        packets = [packet for picture in PICTURES for packet in encoder.encode(picture)] + encoder.flush()
    return [packet.data for packet in packets]


def test_the_bits_are_the_same_in_every_state_that_permits(settings: Settings) -> None:
    states = {}
    for state, days in (("valid", 200), ("expiring", 10), ("grace", -5)):
        put(settings, days_left=days)
        with narrows.Encoder(width=64, height=48, settings=settings) as encoder:
            assert encoder.permission.granted.state == state
        states[state] = coded(settings)

    assert states["valid"] == states["expiring"] == states["grace"]


def test_nothing_that_happens_to_a_license_stops_a_running_encode_or_a_decode(settings: Settings) -> None:
    put(settings, days_left=200)
    undisturbed = coded(settings)
    decoder = narrows.Decoder()
    with narrows.Encoder(width=64, height=48, settings=settings) as encoder:
        packets = encoder.encode(PICTURES[0])
        put(settings, days_left=200, revoked=[1], version=9)
        with pytest.raises(LicenseRefused):
            narrows.Encoder(width=64, height=48, settings=settings)
        packets += encoder.encode(PICTURES[1])
        settings.license_path.unlink()
        packets += encoder.encode(PICTURES[2]) + encoder.flush()

    assert [packet.data for packet in packets] == undisturbed
    assert sum(len(decoder.decode(packet)) for packet in packets) == 3
