"""Leases: believed when the vendor or a certified relay signed them, for that license, customer and time only."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_licensing.certificate import Pool, RelayCertificate
from narrows_licensing.errors import DocumentUnreadable, SignatureRefused
from narrows_licensing.lease import Lease, lease_document, read_lease, renewal_time
from narrows_licensing.revocation import RevocationList
from narrows_licensing.signature import Typ, sign
from narrows_licensing.testing import NOW, Vendor, a_key
from narrows_licensing.trust import Role

VENDOR = Vendor()
RELAY = a_key("relay")
LEASE = Lease(
    lease_id="LEA-0001",
    license_id="LIC-0001",
    customer_id="CUS-0001",
    holder="pod-1",
    issued_at=NOW,
    expires_at=NOW + timedelta(seconds=600),
    is_borrowed=False,
)
CERTIFICATE = RelayCertificate(
    certificate_id="CRT-0002",
    customer_id="CUS-0001",
    key=RELAY.public_key(),
    issued_at=NOW,
    expires_at=NOW + timedelta(days=365),
    status_index=8,
    pools=(Pool(license_id="LIC-0001", seats=50),),
)


def of_the_vendor(lease: Lease = LEASE) -> str:
    return lease_document(sign(lease.claims(), typ=Typ.LEASE, key=VENDOR.key(Role.LEASE)), None)


def of_a_relay(lease: Lease = LEASE, certificate: RelayCertificate = CERTIFICATE, *, key: Any = RELAY) -> str:
    token = sign(certificate.claims(), typ=Typ.RELAY, key=VENDOR.key(Role.LEASE))
    return lease_document(sign(lease.claims(), typ=Typ.LEASE, key=key), token)


def read(text: str, *, at: datetime = NOW, revocations: RevocationList | None = None) -> Lease:
    return read_lease(text, VENDOR.bundle(), revocations, at=at)


def test_a_lease_of_the_vendor_and_one_of_a_certified_relay_are_believed() -> None:
    assert read(of_the_vendor()) == LEASE
    assert read(of_a_relay()) == LEASE


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (of_a_relay(key=a_key("stranger")), "not trusted"),
        (of_a_relay(replace(LEASE, license_id="LIC-0002")), "may not hand out"),
        (of_a_relay(replace(LEASE, customer_id="CUS-0002")), "may not hand out"),
        (of_a_relay(certificate=replace(CERTIFICATE, expires_at=NOW + timedelta(seconds=1))), "outlive"),
        (of_a_relay(certificate=replace(CERTIFICATE, issued_at=NOW - timedelta(9), expires_at=NOW)), "ended"),
        (lease_document(sign(LEASE.claims(), typ=Typ.LEASE, key=RELAY), None), "not trusted"),
        (lease_document(sign(LEASE.claims(), typ=Typ.LICENSE, key=VENDOR.key(Role.LEASE)), None), "type must be"),
    ],
)
def test_a_lease_that_nobody_may_have_handed_out_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(SignatureRefused, match=complaint):
        read(text)


def test_the_leases_of_a_relay_that_was_taken_back_are_refused() -> None:
    listed = RevocationList.of(version=1, issued_at=NOW, revoked=[8])

    with pytest.raises(SignatureRefused, match="taken back"):
        read(of_a_relay(), revocations=listed)
    assert read(of_the_vendor(), revocations=listed) == LEASE


@pytest.mark.parametrize("text", ["", "{}", "[]", "x" * 40_000, '{"format":"narrows-lease/1","lease":1,"relay":null}'])
def test_what_is_no_lease_is_refused(text: str) -> None:
    with pytest.raises(DocumentUnreadable):
        read(text)


@given(st.integers(60, 7 * 86_400), st.integers())
def test_renewals_spread_over_the_middle_fifth_of_a_lease(seconds: int, seed: int) -> None:
    lease = replace(LEASE, expires_at=NOW + timedelta(seconds=seconds))
    at = renewal_time(lease, random.Random(seed)) - NOW

    assert 0.4 * seconds <= at.total_seconds() <= 0.6 * seconds + 1e-6
