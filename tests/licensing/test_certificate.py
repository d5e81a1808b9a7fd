"""Certificates and requests: who may be believed to be an installation or a relay, and how one asks to be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from narrows_licensing.binding import bind_components
from narrows_licensing.certificate import (
    InstallationCertificate,
    Pool,
    RelayCertificate,
    read_installation_certificate,
    read_relay_certificate,
)
from narrows_licensing.errors import DocumentUnreadable, SignatureRefused, UnknownKey
from narrows_licensing.request import Purpose, Request, read_request
from narrows_licensing.signature import Typ, sign
from narrows_licensing.testing import NOW, Vendor, a_key
from narrows_licensing.trust import Role

VENDOR = Vendor()
KEY = a_key("installation")
CERTIFICATE = InstallationCertificate(
    certificate_id="CRT-0001",
    customer_id="CUS-0001",
    key=KEY.public_key(),
    issued_at=NOW,
    expires_at=NOW + timedelta(days=365),
    status_index=7,
)
RELAY = RelayCertificate(
    certificate_id="CRT-0002",
    customer_id="CUS-0001",
    key=KEY.public_key(),
    issued_at=NOW,
    expires_at=NOW + timedelta(days=365),
    status_index=8,
    pools=(Pool(license_id="LIC-0001", seats=50), Pool(license_id="LIC-0002", seats=1)),
)
REQUEST = Request(
    purpose=Purpose.ENROL,
    key=KEY.public_key(),
    license_id=None,
    machine=bind_components({"board": "b"}, required=1, salt="s" * 22),
    sdk_version="0.1.0",
    bundle_version=0,
    asked_at=NOW,
    nonce="n" * 22,
)


def keys(role: Role) -> Any:
    return VENDOR.bundle().keys_for(role, NOW)


def test_an_installation_certificate_is_read_back() -> None:
    token = sign(CERTIFICATE.claims(), typ=Typ.INSTALLATION, key=VENDOR.key(Role.INSTALLATION))

    assert read_installation_certificate(token, keys(Role.INSTALLATION)) == CERTIFICATE


def test_a_relay_certificate_says_how_many_seats_of_which_license() -> None:
    token = sign(RELAY.claims(), typ=Typ.RELAY, key=VENDOR.key(Role.LEASE))
    relay = read_relay_certificate(token, keys(Role.LEASE))

    assert relay == RELAY
    assert [relay.seats_of(license_id) for license_id in ("LIC-0001", "LIC-0002", "LIC-0003")] == [50, 1, None]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.INSTALLATION])
def test_a_key_of_another_role_certifies_no_installation(role: Role) -> None:
    token = sign(CERTIFICATE.claims(), typ=Typ.INSTALLATION, key=VENDOR.key(role))

    with pytest.raises(UnknownKey):
        read_installation_certificate(token, keys(Role.INSTALLATION))


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        ({"exp": 0}, "exp"),
        ({"status_index": -1}, "status_index"),
        ({"key": "A" * 43}, "key"),
        ({"pools": [{"license_id": "a", "seats": 0}]}, "pools[0].seats"),
        ({"pools": [{"license_id": "a", "seats": 1}] * 2}, "pools"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_certificate_outside_its_limits_is_refused_by_name(change: dict[str, Any], claim: str) -> None:
    token = sign(RELAY.claims() | change, typ=Typ.RELAY, key=VENDOR.key(Role.LEASE))

    with pytest.raises(DocumentUnreadable) as caught:
        read_relay_certificate(token, keys(Role.LEASE))
    assert caught.value.claim == claim


def test_a_request_is_read_back_and_names_who_asks() -> None:
    assert read_request(REQUEST.sign(KEY)) == REQUEST
    assert REQUEST.installation_id == CERTIFICATE.installation_id


def test_nobody_asks_in_anothers_name() -> None:
    stranger = a_key("stranger")
    with pytest.raises(SignatureRefused):
        REQUEST.sign(stranger)
    token = replace(REQUEST, key=stranger.public_key()).sign(stranger)
    header, _, signature = REQUEST.sign(KEY).split(".")
    with pytest.raises(SignatureRefused):
        read_request(f"{header}.{token.split('.')[1]}.{signature}")


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "é.é.é", "x" * 9000, "e30.e30.e30"])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises((SignatureRefused, DocumentUnreadable)):
        read_request(text)
