"""Payloads of other people's ledgers: read, or given up with the member named."""

from __future__ import annotations

from typing import Any

import pytest
from narrows_metering.payload import (
    POINTS_MAX,
    Delivery,
    Encode,
    Evidence,
    Unreadable,
    read_delivery,
    read_encode,
    read_evidence,
)
from narrows_metering.testing import a_delivery, an_encode, an_evidence


def test_what_the_sdk_writes_is_read() -> None:
    assert isinstance(read_encode(an_encode()), Encode)
    assert isinstance(read_evidence(an_evidence()), Evidence)
    assert isinstance(read_evidence(an_evidence(status="too_few_points")), Evidence)
    assert isinstance(read_delivery(a_delivery()), Delivery)


@pytest.mark.parametrize("text", ["2026-11-10T00:00:00Z", "2026-11-10T00:00:00.000Z", "2026-11-10T00:00:00.000000Z"])
def test_a_window_may_be_written_to_the_second_or_finer(text: str) -> None:
    assert isinstance(read_delivery({**a_delivery(), "window_start": text}), Delivery)


@pytest.mark.parametrize("member", ["asset", "rendition", "development"])
@pytest.mark.parametrize("value", [None, "", 7, [], "x" * 257])
def test_an_encode_that_says_too_little_is_given_up(member: str, value: Any) -> None:
    assert read_encode({**an_encode(), member: value}) == Unreadable(member=member)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("bytes", 0),
        ("bytes", True),
        ("baseline_bytes", None),
        ("baseline_bytes", 0),
        ("score", "15"),
        ("status", None),
        ("points", None),
        ("points", [7]),
        ("points", [{"bytes": 1, "score": 1}] * (POINTS_MAX + 1)),
    ],
)
def test_evidence_that_says_too_little_is_given_up(member: str, value: Any) -> None:
    assert read_evidence({**an_evidence(), member: value}) == Unreadable(member=member)


def test_a_point_without_bytes_is_given_up() -> None:
    assert read_evidence({**an_evidence(), "points": [{"bytes": 0, "score": 1}]}) == Unreadable(member="bytes")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("bytes", -1),
        ("bytes", "1"),
        ("requests", None),
        ("source_digest", None),
        ("window_start", "2026-11-10T00:00:00+01:00"),
        ("window_start", "2026-11-10"),
        ("window_start", 20261110),
        ("window_start", "2026-11-31T00:00:00Z"),
        ("window_end", "2026-11-10T00:00:00.000000Z"),
    ],
)
def test_a_delivery_that_says_too_little_is_given_up(member: str, value: Any) -> None:
    assert read_delivery({**a_delivery(), member: value}) == Unreadable(member=member)
