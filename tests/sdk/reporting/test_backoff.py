"""How long a server is left alone: never longer than promised, never shorter than it asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows.reporting.backoff import (
    BACKOFF_FIRST,
    BACKOFF_MAX,
    RETRY_AFTER_MAX,
    read_http_date,
    read_retry_after,
    retry_delay,
)

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
ZERO = timedelta(0)
chances = st.floats(0, 1, exclude_max=True)
failures = st.integers(1, 10**9)


@given(failures, chances, st.none() | st.timedeltas(ZERO, timedelta(days=9)))
def test_a_delay_is_never_shorter_than_asked_and_never_longer_than_both_bounds(
    count: int, chance: float, asked: timedelta | None
) -> None:
    delay = retry_delay(count, chance=chance, retry_after=asked)

    assert min(asked or ZERO, RETRY_AFTER_MAX) <= delay <= RETRY_AFTER_MAX + BACKOFF_MAX
    assert asked or delay <= BACKOFF_MAX


@given(failures)
def test_the_jitter_is_full(count: int) -> None:
    bound = retry_delay(count, chance=1.0)

    assert retry_delay(count, chance=0.0) == ZERO
    assert BACKOFF_FIRST <= bound <= BACKOFF_MAX
    assert retry_delay(count, chance=0.25) == bound / 4


def test_each_failure_doubles_the_bound_until_it_is_reached() -> None:
    bounds = [retry_delay(count, chance=1.0).total_seconds() for count in range(1, 12)]

    assert bounds == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


@given(st.integers(0, 10**40))
def test_seconds_are_read_and_capped(seconds: int) -> None:
    assert read_retry_after(str(seconds), now=NOW) == timedelta(seconds=min(seconds, 3600))


@given(st.timedeltas(timedelta(days=-9), timedelta(days=9)))
def test_a_date_is_read_by_the_clock_of_who_wrote_it(ahead: timedelta) -> None:
    ahead = timedelta(seconds=int(ahead.total_seconds()))

    asked = read_retry_after(format_datetime(NOW + ahead, usegmt=True), now=NOW)

    assert asked == min(max(ahead, ZERO), RETRY_AFTER_MAX)


@pytest.mark.parametrize(
    "text",
    ["Tue, 24 Nov 2026 08:00:30 GMT", "Tuesday, 24-Nov-26 08:00:30 GMT", "Tue Nov 24 08:00:30 2026"],
)
def test_all_three_forms_of_a_date_are_read(text: str) -> None:
    assert read_retry_after(text, now=NOW) == timedelta(seconds=30)
    assert read_http_date(text) == NOW + timedelta(seconds=30)


@given(st.text(max_size=80) | st.none())
def test_nonsense_asks_for_nothing_and_raises_nothing(text: str | None) -> None:
    asked = read_retry_after(text, now=NOW)

    assert asked is None or ZERO <= asked <= RETRY_AFTER_MAX


@pytest.mark.parametrize("text", [None, "", "soon", "-1", "1.5", "٣", "1" * 65, "Tue, 99 Nov 2026 08:00:30 GMT"])
def test_what_is_neither_asks_for_nothing(text: str | None) -> None:
    assert read_retry_after(text, now=NOW) is None
