"""A relay's folder: a key of its own, and papers that are the vendor's word for it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from narrows_licensing.relay.home import NotReady, RelayHome
from narrows_licensing.request import Purpose, read_request
from narrows_licensing.testing import NOW, Vendor

from .sites import VENDOR, a_response

ROOTS = VENDOR.roots.to_json()


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    home = RelayHome.at(tmp_path)

    assert RelayHome.at(tmp_path).relay_id == home.relay_id
    assert (tmp_path / "relay.key").stat().st_mode & 0o777 == 0o600
    assert "Ed25519" not in repr(home)


def test_a_request_asks_for_a_certificate_of_this_key(tmp_path: Path) -> None:
    home = RelayHome.at(tmp_path)
    request = read_request(home.request(license_id="LIC-0001", version="0.1.0", at=NOW))

    assert (request.purpose, request.installation_id) == (Purpose.RELAY, home.relay_id)


def test_what_was_taken_in_is_there_after_a_restart(tmp_path: Path) -> None:
    home = RelayHome.at(tmp_path)
    home.take_in(a_response(home, seats=20), roots=ROOTS, at=NOW)

    assert RelayHome.at(tmp_path).open(at=NOW).certificate.seats_of("LIC-0001") == 20


def test_before_the_vendor_has_answered_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="narrows-relay request"):
        RelayHome.at(tmp_path).open(at=NOW)


def test_a_certificate_of_another_relay_or_another_vendor_is_not_taken_in(tmp_path: Path) -> None:
    home, other = RelayHome.at(tmp_path / "a"), RelayHome.at(tmp_path / "b")

    with pytest.raises(NotReady, match="is for the relay"):
        home.take_in(a_response(other), roots=ROOTS, at=NOW)
    with pytest.raises(NotReady, match="not a response for this relay"):
        home.take_in(a_response(home), roots=Vendor(name="another").roots.to_json(), at=NOW)
    assert not (home.folder / "relay.cert").exists()


def test_an_older_response_brings_back_nothing_that_was_revoked(tmp_path: Path) -> None:
    home = RelayHome.at(tmp_path)
    home.take_in(a_response(home, revoked=(9,)), roots=ROOTS, at=NOW)
    papers = home.take_in(a_response(home), roots=ROOTS, at=NOW + timedelta(days=1))

    assert papers.status_of(9).name == "REVOKED"
