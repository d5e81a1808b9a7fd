"""The share of the money saved: each cent in its own tier, parts of a month in proportion, nothing lost in rounding."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.money import Money
from narrows_metering.record import Kind
from narrows_metering.share import Exchange, SharePart, ShareTier, ShareTiers, allot_money, graduated
from narrows_metering.statement import draw_up
from narrows_metering.terms import Period, Terms
from narrows_metering.testing import (
    NOVEMBER,
    a_delivery,
    a_share,
    an_encode,
    an_evidence,
    an_installation_id,
    some_records,
    some_terms,
)


def tiers(*parts: tuple[int | None, str]) -> ShareTiers:
    return tuple(ShareTier(up_to_minor=limit, percent=Decimal(percent)) for limit, percent in parts)


THREE = tiers((10_000, "30"), (50_000, "20"), (None, "12.5"))


def share_of(terms: Terms, *, period: Period = NOVEMBER, days: tuple[int, ...] = (10,)) -> Any:
    """The share of a statement over 800 GB on each of *days*, 10.00 saved by each."""
    deliveries = [(Kind.DELIVERY, a_delivery(start=datetime(2026, 11, day, tzinfo=UTC))) for day in days]
    records = some_records([(Kind.ENCODE, an_encode()), (Kind.EVIDENCE, an_evidence()), *deliveries])
    return draw_up(
        terms,
        period=period,
        records_by_installation={an_installation_id(): records},
        drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC),
    )["share"]


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        (-1, []),
        (0, []),
        (9_999, [(9_999, 3_000)]),
        (10_000, [(10_000, 3_000)]),
        (10_001, [(10_000, 3_000), (1, 0)]),
        (60_000, [(10_000, 3_000), (40_000, 8_000), (10_000, 1_250)]),
    ],
)
def test_each_cent_gives_what_its_own_tier_says(saved: int, expected: list[tuple[int, int]]) -> None:
    assert [(one.saved_minor, one.minor) for one in graduated(THREE, saved)] == expected


@given(saved=st.integers(0, 10**9), months=st.fractions(min_value=Fraction(1, 31), max_value=12, max_denominator=31))
def test_tiers_take_all_that_was_saved_and_add_up_to_the_share_rounded_once(saved: int, months: Fraction) -> None:
    slices = graduated(THREE, saved, months=months)

    assert sum(one.saved_minor for one in slices) == saved
    exact = sum(one.saved_minor * Fraction(one.percent) / 100 for one in slices)
    assert sum(one.minor for one in slices) == round(exact)


@given(saved=st.integers(-(10**6), 10**6), more=st.integers(0, 10**6))
def test_more_saved_is_never_a_smaller_share(saved: int, more: int) -> None:
    assert sum(one.minor for one in graduated(THREE, saved)) <= sum(one.minor for one in graduated(THREE, saved + more))


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(0, 10**15), min_size=1, max_size=5))
def test_what_is_allotted_adds_up(minor: int, weights: list[int]) -> None:
    assert sum(allot_money(minor, weights)) == minor


def test_an_amendment_in_the_middle_splits_the_month_by_what_was_delivered() -> None:
    terms = replace(some_terms(), share=(a_share("20"), a_share("10", from_day=16)))
    share = share_of(terms, days=(10, 15, 16))

    # 30.00 saved in all, two thirds of it before the 16th.
    assert [(part["days"], part["saved_minor"], part["minor"]) for part in share["parts"]] == [
        (15, 2_000, 400),
        (15, 1_000, 100),
    ]
    assert share["amount"]["minor"] == 500


def test_the_limits_of_tiers_shrink_with_the_days_for_which_they_hold() -> None:
    terms = replace(some_terms(), share=(SharePart(from_day=1, tiers=tiers((600, "50"), (None, "10"))),))
    share = share_of(terms, period=Period(year=2026, month=11, first_day=6, last_day=15))

    # A third of the month: 2.00 at 50 %, the rest of the 10.00 at 10 %.
    assert [(one["saved_minor"], one["minor"]) for one in share["parts"][0]["slices"]] == [(200, 100), (800, 80)]


def test_savings_in_another_currency_are_exchanged_once_before_they_are_shared() -> None:
    rate = Exchange(currency="USD", rate=Decimal("155.305"), source="ECB", date="2026-11-30")
    share = share_of(replace(some_terms(currency="JPY"), exchange=rate))

    # 10.00 USD are 1,553.05 JPY, which has no smaller unit: 1,553; a fifth of it is 310.6.
    assert (share["saved"], share["amount"]["minor"]) == ({"minor": 1_553, "currency": "JPY"}, 311)
    assert share["exchange"] == {"currency": "USD", "rate": "155.305", "source": "ECB", "date": "2026-11-30"}


@pytest.mark.parametrize(
    ("amount", "currency", "rate", "expected"),
    [
        (Money(minor=100, currency="EUR"), "KWD", "0.3355", 336),  # 335.5 fils, to even.
        (Money(minor=1_000, currency="KWD"), "EUR", "2.98", 298),
        (Money(minor=-5, currency="JPY"), "EUR", "0.005", -2),  # −2.5 cents, to even.
    ],
)
def test_a_rate_is_applied_to_major_units(amount: Money, currency: str, rate: str, expected: int) -> None:
    exchange = Exchange(currency=amount.currency, rate=Decimal(rate), source="ECB", date="2026-11-30")
    assert exchange.convert(amount, currency) == Money(minor=expected, currency=currency)


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        ((10, "1"),),
        ((None, "1"), (None, "2")),
        ((10, "1"), (10, "2"), (None, "3")),
        ((None, "100.1"),),
        ((0, "1"), (None, "1")),
    ],
)
def test_tiers_that_do_not_rise_to_the_end_are_refused(wrong: tuple[tuple[int | None, str], ...]) -> None:
    with pytest.raises(ValueError, match=r"share|percent|up_to_minor"):
        SharePart(from_day=1, tiers=tiers(*wrong))
