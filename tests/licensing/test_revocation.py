"""Revocation lists: signed, by the right role, within limits, small for a million entries and quick to ask."""

from __future__ import annotations

import random
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_licensing.errors import DocumentUnreadable, SignatureRefused, UnknownKey
from narrows_licensing.license import STATUS_INDEX_MAX
from narrows_licensing.revocation import (
    REVOCATIONS_BYTES_MAX,
    STATUSES_BYTES_MAX,
    RevocationList,
    Status,
    read_revocations,
    sign_revocations,
)
from narrows_licensing.signature import Typ, encode_base64url, sign
from narrows_licensing.testing import NOW, Vendor
from narrows_licensing.trust import Role

VENDOR = Vendor()
KEY = VENDOR.key(Role.REVOCATION)
KEYS = VENDOR.bundle().keys_for(Role.REVOCATION, NOW)


def packed(statuses: bytes) -> dict[str, Any]:
    return {"bits": 2, "lst": encode_base64url(zlib.compress(statuses))}


CLAIMS = {"iss": "narrows", "aud": "narrows", "iat": 1_790_000_000, "version": 1, "status_list": packed(b"\x04")}
numbers = st.frozensets(st.integers(0, 300), max_size=40)


@given(st.integers(1, 2**31 - 1), numbers, numbers)
def test_a_signed_list_is_read_back_and_says_how_every_number_stands(
    version: int, revoked: frozenset[int], suspended: frozenset[int]
) -> None:
    made = RevocationList.of(version=version, issued_at=NOW, revoked=revoked, suspended=suspended)
    read = read_revocations(sign_revocations(made, key=KEY), KEYS)

    assert read == made
    for number in range(310):
        expected = Status.REVOKED if number in revoked else Status.SUSPENDED if number in suspended else Status.GOOD
        assert read.status_of(number) is expected


def test_what_has_no_number_and_what_is_beyond_the_list_is_good() -> None:
    revocations = RevocationList.of(version=1, issued_at=NOW, revoked=[3])

    assert [revocations.status_of(number) for number in (None, 4, 10**6)] == [Status.GOOD] * 3


def test_the_value_without_a_meaning_is_not_good() -> None:
    assert RevocationList(version=1, issued_at=NOW, statuses=b"\xff").status_of(2) is Status.SUSPENDED


def test_the_same_licenses_give_the_same_token_in_any_order() -> None:
    tokens = {
        sign_revocations(RevocationList.of(version=3, issued_at=NOW, revoked=order), key=KEY)
        for order in (range(50), range(49, -1, -1))
    }

    assert len(tokens) == 1


def test_a_million_entries_scattered_over_four_million_fit_and_are_found_at_once() -> None:
    revoked = random.Random(1).sample(range(4_000_000), 1_000_000)
    token = sign_revocations(RevocationList.of(version=1, issued_at=NOW, revoked=revoked), key=KEY)
    revocations = read_revocations(token, KEYS)
    asked = revoked[:1000]
    started = time.perf_counter()
    found = [revocations.status_of(number) for number in asked]
    seconds = (time.perf_counter() - started) / len(asked)

    assert len(token) <= REVOCATIONS_BYTES_MAX == 2 * 1024 * 1024
    assert found == [Status.REVOKED] * 1000
    # One index into bytes: a thousand times quicker than this bound, so that a busy machine doesn't fail it.
    assert seconds <= 0.001


def test_the_highest_number_can_be_revoked_and_none_beyond() -> None:
    revocations = RevocationList.of(version=1, issued_at=NOW, revoked=[STATUS_INDEX_MAX])

    assert len(revocations.statuses) == STATUSES_BYTES_MAX
    assert read_revocations(sign_revocations(revocations, key=KEY), KEYS) == revocations
    for number in (STATUS_INDEX_MAX + 1, -1):
        with pytest.raises(DocumentUnreadable, match="status_list"):
            RevocationList.of(version=1, issued_at=NOW, revoked=[number])


def test_a_list_that_unpacks_to_more_than_its_limit_is_refused_before_it_is_unpacked() -> None:
    bomb = CLAIMS | {"status_list": packed(bytes(200 * 1024 * 1024))}

    with pytest.raises(DocumentUnreadable, match="status_list"):
        read_revocations(sign(bomb, typ=Typ.REVOCATIONS, key=KEY), KEYS)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.REVOCATION])
def test_a_key_of_another_role_revokes_nothing(role: Role) -> None:
    token = sign_revocations(RevocationList.of(version=1, issued_at=NOW, revoked=[1]), key=VENDOR.key(role))

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
        ("iat", None),
        ("version", 0),
        ("version", None),
        ("status_list", None),
        ("status_list.bits", {"bits": 1, "lst": "eJw"}),
        ("status_list.lst", {"bits": 2, "lst": "not zlib"}),
        ("status_list.lst", {"bits": 2, "lst": encode_base64url(zlib.compress(b"\x04")[:-2])}),
        ("status_list.lst", {"bits": 2, "lst": encode_base64url(zlib.compress(b"\x04") + b"x")}),
        ("extra", 1),
    ],
)
def test_signed_contents_outside_the_limits_are_refused_by_name(claim: str, value: Any) -> None:
    member = claim.partition(".")[0]
    with pytest.raises(DocumentUnreadable) as caught:
        read_revocations(sign(CLAIMS | {member: value}, typ=Typ.REVOCATIONS, key=KEY), KEYS)

    assert caught.value.claim == claim
