"""A request for a seat: whose it is, and what license it shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from narrows_licensing.binding import Installation
from narrows_licensing.errors import DocumentUnreadable, LicensingError, SignatureRefused, UnknownKey
from narrows_licensing.lease_request import (
    LEASE_REQUEST_BYTES_MAX,
    PLACE_MAX,
    LeaseRequest,
    admit,
    holder_of,
    read_lease_request,
)
from narrows_licensing.license import LeaseTerms, License
from narrows_licensing.revocation import Status
from narrows_licensing.signature import Typ, sign, thumbprint
from narrows_licensing.testing import NOW, Vendor, a_key, a_license
from narrows_licensing.trust import Role
from narrows_licensing.verdict import Reason, Refused

VENDOR = Vendor()
KEY = a_key("installation")
KEYS = VENDOR.bundle().keys_for(Role.LICENSE, NOW)


def a_floating_license(**changes: Any) -> License:
    license = a_license(**changes)
    entitlements = replace(license.entitlements, max_concurrent_encodes=2)
    return replace(license, entitlements=entitlements, lease=LeaseTerms())


def a_request(license: License | None = None, **changes: Any) -> LeaseRequest:
    token = sign((license or a_floating_license()).claims(), typ=Typ.LICENSE, key=VENDOR.key(Role.LICENSE))
    request = LeaseRequest(key=KEY.public_key(), license_token=token, place=0, asked_at=NOW)
    return replace(request, **changes)


def reason(request: LeaseRequest, *, status: Status = Status.GOOD) -> Reason:
    refused = admit(request, KEYS, status=status, at=NOW)
    assert isinstance(refused, Refused)
    return refused.reason


def test_a_request_says_what_was_asked() -> None:
    request = a_request(place=3, borrow=timedelta(days=7), gives_back="lea_1")

    assert read_lease_request(request.sign(KEY)) == request
    assert request.holder == holder_of(thumbprint(KEY.public_key()), 3)


def test_nobody_asks_in_the_name_of_another() -> None:
    with pytest.raises(LicensingError):
        a_request().sign(a_key("somebody else"))


def test_every_changed_byte_is_refused() -> None:
    token = a_request().sign(KEY)
    for place in range(0, len(token), 7):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(LicensingError):
            read_lease_request(changed)


def test_a_request_has_limits() -> None:
    with pytest.raises(SignatureRefused, match="up to"):
        read_lease_request("a" * (LEASE_REQUEST_BYTES_MAX + 1))
    with pytest.raises(DocumentUnreadable, match="place"):
        a_request(place=PLACE_MAX + 1).sign(KEY)
    with pytest.raises(DocumentUnreadable, match="borrow_days"):
        a_request(borrow=timedelta(days=367)).sign(KEY)


def test_the_license_inside_is_admitted_if_the_vendor_signed_it() -> None:
    license = a_floating_license()

    assert admit(a_request(license), KEYS, status=Status.GOOD, at=NOW) == license
    with pytest.raises(UnknownKey):
        admit(a_request(license), {}, status=Status.GOOD, at=NOW)


def test_a_license_that_permits_no_encode_gets_no_seat() -> None:
    assert reason(a_request(a_license())) is Reason.NO_SEAT
    assert reason(a_request(), status=Status.REVOKED) is Reason.REVOKED
    assert reason(a_request(), status=Status.SUSPENDED) is Reason.SUSPENDED
    begun = NOW - timedelta(days=2)
    ended = {"issued_at": begun, "not_before": begun, "expires_at": NOW - timedelta(days=1), "grace": timedelta(0)}
    old = a_floating_license(**ended)
    assert reason(a_request(old)) is Reason.EXPIRED


def test_a_license_of_another_installation_gets_no_seat() -> None:
    bound = replace(a_floating_license(), binding=Installation(thumbprint=thumbprint(a_key("other").public_key())))

    assert reason(a_request(bound)) is Reason.WRONG_BINDING


def test_clocks_may_differ_by_a_day() -> None:
    assert isinstance(admit(a_request(asked_at=NOW + timedelta(hours=24)), KEYS, status=Status.GOOD, at=NOW), License)
    assert reason(a_request(asked_at=NOW - timedelta(hours=25))) is Reason.CLOCK_WOUND_BACK
