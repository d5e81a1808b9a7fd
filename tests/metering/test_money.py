"""Money and tariffs: exact, whole minor units, every rounding case named."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.money import Money, cost, exponent
from narrows_metering.tariff import Tariff, Tier
from narrows_metering.testing import GB


def a_tariff(*tiers: tuple[int | None, str]) -> Tariff:
    """A tariff of (up to bytes, price per GB)."""
    return Tariff(
        tariff_id="t", tiers=tuple(Tier(up_to_bytes=limit, price_per_gb=Decimal(price)) for limit, price in tiers)
    )


LIST_PRICES = a_tariff((10_000 * GB, "0.085"), (50_000 * GB, "0.080"), (None, "0.060"))


class TestMoney:
    @pytest.mark.parametrize(
        ("minor", "percent", "share"),
        [
            (250, "1", 2),  # 2.5 cents: half goes to the even 2.
            (350, "1", 4),  # 3.5 cents: half goes to the even 4.
            (-250, "1", -2),
            (251, "1", 3),
            (999, "12.5", 125),
            (10_000, "100", 10_000),
            (10_000, "0", 0),
        ],
    )
    def test_a_share_is_rounded_half_to_even(self, minor: int, percent: str, share: int) -> None:
        assert Money(minor=minor, currency="EUR").share(Decimal(percent)).minor == share

    @pytest.mark.parametrize(
        ("minor", "currency", "text"),
        [
            (-5, "EUR", "-0.05 EUR"),
            (120_005, "USD", "1200.05 USD"),
            (1200, "JPY", "1200 JPY"),
            (0, "JPY", "0 JPY"),
            (1200, "KWD", "1.200 KWD"),
            (7, "KWD", "0.007 KWD"),
        ],
    )
    def test_it_is_shown_with_the_decimals_of_its_currency(self, minor: int, currency: str, text: str) -> None:
        assert str(Money(minor=minor, currency=currency)) == text

    def test_currencies_do_not_mix(self) -> None:
        with pytest.raises(ValueError, match="EUR and USD"):
            Money(minor=1, currency="EUR") + Money(minor=1, currency="USD")

    def test_an_unknown_currency_and_a_fraction_of_a_cent_are_refused(self) -> None:
        with pytest.raises(ValueError, match="XYZ"):
            Money(minor=1, currency="XYZ")
        with pytest.raises(TypeError, match="not an integer"):
            Money(minor=1.5, currency="EUR")  # type: ignore[arg-type]

    def test_the_exponents_are_those_of_iso_4217(self) -> None:
        assert [exponent(name) for name in ("JPY", "EUR", "BHD")] == [0, 2, 3]


class TestCost:
    @pytest.mark.parametrize(
        ("gigabytes", "minor"),
        [
            (0, 0),
            (1, 8),  # 8.5 cents
            (3, 26),  # 25.5 cents
            (10_000, 85_000),
            (10_001, 85_008),
            (50_000, 85_000 + 320_000),
            (60_000, 85_000 + 320_000 + 60_000),
        ],
    )
    def test_each_byte_costs_what_its_own_tier_says(self, gigabytes: int, minor: int) -> None:
        assert cost(gigabytes * GB, LIST_PRICES, currency="EUR") == Money(minor=minor, currency="EUR")

    def test_a_currency_without_cents_is_rounded_to_whole_units(self) -> None:
        assert cost(30 * GB, LIST_PRICES, currency="JPY").minor == 3  # 2.55 yen
        assert cost(30 * GB, LIST_PRICES, currency="KWD").minor == 2550

    @given(st.integers(0, 2**53), st.integers(0, 2**40))
    def test_more_bytes_never_cost_less(self, delivered: int, more: int) -> None:
        assert LIST_PRICES.price(delivered) <= LIST_PRICES.price(delivered + more)

    @given(
        limits=st.lists(st.integers(1, 300), min_size=1, max_size=4, unique=True).map(sorted),
        prices=st.lists(st.integers(0, 99), min_size=5, max_size=5),
        delivered=st.integers(0, 400),
    )
    def test_the_price_is_what_counting_byte_by_byte_gives(
        self, limits: list[int], prices: list[int], delivered: int
    ) -> None:
        steps: list[int | None] = [*limits, None]
        tariff = a_tariff(*((limit, f"0.{price:02}") for limit, price in zip(steps, prices, strict=False)))

        naive = sum(
            Fraction(next(p for s, p in zip(steps, prices, strict=False) if s is None or n < s), 100)
            for n in range(delivered)
        )
        assert tariff.price(delivered) == naive / GB


@pytest.mark.parametrize(
    "tiers",
    [
        (),
        ((100, "1"),),
        ((None, "1"), (None, "1")),
        ((200, "1"), (100, "1"), (None, "1")),
        ((100, "1"), (100, "1"), (None, "1")),
        ((0, "1"), (None, "1")),
        ((None, "-1"),),
        ((None, "NaN"),),
        ((None, "0.0000000001"),),
    ],
)
def test_a_tariff_that_leaves_a_byte_without_one_price_is_refused(tiers: tuple[tuple[int | None, str], ...]) -> None:
    with pytest.raises(ValueError, match=r"tier|limit|decimal|integer"):
        a_tariff(*tiers)
