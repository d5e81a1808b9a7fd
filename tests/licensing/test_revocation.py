"""Revocation lists: signed, by the right role, within limits."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_licensing.errors import DocumentUnreadable, SignatureRefused, UnknownKey
from narrows_licensing.revocation import (
    REVOCATIONS_BYTES_MAX,
    REVOKED_COUNT_MAX,
    RevocationList,
    read_revocations,
    sign_revocations,
)
from narrows_licensing.signature import Typ, sign
from narrows_licensing.testing import NOW, Vendor
from narrows_licensing.trust import Role

VENDOR = Vendor()
KEY = VENDOR.key(Role.REVOCATION)
KEYS = VENDOR.bundle().keys_for(Role.REVOCATION, NOW)
CLAIMS = {"iss": "narrows", "aud": "narrows", "version": 1, "revoked": ["LIC-0001"]}


@given(st.integers(1, 2**31 - 1), st.frozensets(st.from_regex(r"[A-Z]{3}-[0-9]{1,8}", fullmatch=True), max_size=20))
def test_a_signed_list_is_read_back(version: int, license_ids: frozenset[str]) -> None:
    revocations = RevocationList(version=version, license_ids=license_ids)

    assert read_revocations(sign_revocations(revocations, key=KEY), KEYS) == revocations


def test_the_same_licenses_give_the_same_token_in_any_order() -> None:
    names = [f"LIC-{number:04}" for number in range(50)]
    tokens = {
        sign_revocations(RevocationList(version=3, license_ids=frozenset(order)), key=KEY)
        for order in (names, names[::-1])
    }

    assert len(tokens) == 1


def test_the_longest_list_of_uuids_fits() -> None:
    license_ids = frozenset(str(UUID(int=number)) for number in range(REVOKED_COUNT_MAX))
    token = sign_revocations(RevocationList(version=1, license_ids=license_ids), key=KEY)

    assert len(token) <= REVOCATIONS_BYTES_MAX
    assert read_revocations(token, KEYS).license_ids == license_ids


def test_a_list_that_grows_beyond_its_limits_is_not_signed() -> None:
    too_many = frozenset(f"{number}" for number in range(REVOKED_COUNT_MAX + 1))
    too_long = frozenset(f"{number:0128}" for number in range(REVOKED_COUNT_MAX))
    for license_ids in (too_many, too_long):
        with pytest.raises(DocumentUnreadable, match="revoked"):
            sign_revocations(RevocationList(version=1, license_ids=license_ids), key=KEY)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.REVOCATION])
def test_a_key_of_another_role_revokes_nothing(role: Role) -> None:
    token = sign_revocations(RevocationList(version=1, license_ids=frozenset({"LIC-0001"})), key=VENDOR.key(role))

    with pytest.raises(UnknownKey):
        read_revocations(token, KEYS)


def test_a_token_of_another_type_is_no_list() -> None:
    with pytest.raises(SignatureRefused, match="type must be"):
        read_revocations(sign(CLAIMS, typ=Typ.LICENSE, key=KEY), KEYS)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "x"),
        ("aud", "x"),
        ("version", 0),
        ("version", None),
        ("revoked", None),
        ("revoked", ["LIC-0001", "LIC-0001"]),
        ("revoked", ["a b"]),
        ("revoked", [1]),
        ("extra", 1),
    ],
)
def test_signed_contents_outside_the_limits_are_refused_by_name(claim: str, value: Any) -> None:
    with pytest.raises(DocumentUnreadable) as caught:
        read_revocations(sign(CLAIMS | {claim: value}, typ=Typ.REVOCATIONS, key=KEY), KEYS)

    assert caught.value.claim == claim
