"""What saved bytes are worth: worked examples, what must always hold, and a naive reckoning beside it."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from narrows_metering.cdn_tariff import ANY_REGION, CdnTraffic, PercentileTariff, VolumeTariff, rate_mbps
from narrows_metering.money import Money
from narrows_metering.tariff import Tariff, Tier
from narrows_metering.valuation import CdnMonth, Mode, avoided_cost, effective_price, reference_price, total_saved

from tests.valuation.oracle import a_case, naive, product, scaled

TB = 10**12


def tiers(*prices: tuple[int | None, str]) -> Tariff:
    """Graduated tiers from (up to TB, price per GB)."""
    made = (Tier(up_to_bytes=limit and limit * TB, price_per_gb=Decimal(price)) for limit, price in prices)
    return Tariff(tariff_id="list", tiers=tuple(made))


def a_month(delivered: int, baseline: int, *, cdn: str = "one", region: str = "eu") -> CdnMonth:
    """A month in one region, in TB."""
    return CdnMonth(
        cdn=cdn,
        delivered=CdnTraffic(region_bytes={region: delivered * TB}),
        baseline=CdnTraffic(region_bytes={region: baseline * TB}),
    )


class TestWorkedExamples:
    TARIFF = VolumeTariff(
        cdn="one", regions={"eu": tiers((10, "0.085"), (None, "0.06")), ANY_REGION: tiers((None, "0.11"))}
    )

    @pytest.mark.parametrize(("region", "cents"), [("eu", 2 * 8_500 + 3 * 6_000), ("in", 5 * 11_000)])
    def test_saved_bytes_are_worth_what_their_own_tier_and_region_cost(self, region: str, cents: int) -> None:
        values = avoided_cost([a_month(8, 13, region=region)], {"one": self.TARIFF}, currency="EUR")
        assert total_saved(values, currency="EUR") == Money(minor=cents, currency="EUR")

    def test_below_the_commit_nothing_is_saved(self) -> None:
        committed = VolumeTariff(cdn="one", regions=self.TARIFF.regions, commit=Decimal(2_000))
        saved = [
            total_saved(avoided_cost([a_month(8, baseline)], {"one": committed}, currency="EUR"), currency="EUR").minor
            for baseline in (10, 20, 40)
        ]
        # 10 TB cost 850 and 20 TB 1,450, less than the commit; 40 TB cost 2,650.
        assert saved == [0, 0, 65_000]

    def test_of_a_percentile_only_the_peaks_that_are_charged_count(self) -> None:
        tariff = PercentileTariff(cdn="one", price_per_mbps=Decimal(2), overage_per_mbps=Decimal(3))
        quiet, busy = 375_000_000, 3_750_000_000  # 10 and 100 Mbit/s.
        flat = [quiet] * 100

        def saved(baseline: list[int]) -> int:
            month = CdnMonth(
                cdn="one",
                delivered=CdnTraffic(region_bytes={}, slot_bytes=flat),
                baseline=CdnTraffic(region_bytes={}, slot_bytes=baseline),
            )
            return total_saved(avoided_cost([month], {"one": tariff}, currency="EUR"), currency="EUR").minor

        assert saved([busy] * 5 + flat[5:]) == 0  # The highest twentieth is never charged.
        assert saved([busy] * 6 + flat[6:]) == (100 - 10) * 300

    def test_an_agreed_price_takes_no_notice_of_tiers(self) -> None:
        values = reference_price([a_month(8, 13)], {"*": Decimal("0.02")}, currency="EUR")
        assert total_saved(values, currency="EUR").minor == 5 * 2_000

    def test_an_invoice_divided_by_its_gigabytes_is_the_effective_price(self) -> None:
        values = effective_price([a_month(8, 10)], {"one": Money(minor=40_000, currency="EUR")})
        assert total_saved(values, currency="EUR").minor == 10_000

    def test_a_cdn_that_delivered_nothing_has_no_effective_price(self) -> None:
        values = effective_price([a_month(0, 0)], {"one": Money(minor=40_000, currency="EUR")})
        assert total_saved(values, currency="EUR").minor == 0


class TestWhatAlwaysHolds:
    def test_the_product_agrees_with_the_naive_reckoning(self) -> None:
        rng = random.Random(7)
        for _ in range(1_000):
            case = a_case(rng)
            assert product(case) == naive(case), case

    def test_a_baseline_that_needs_no_fewer_bytes_anywhere_never_loses_money(self) -> None:
        rng = random.Random(8)
        for _ in range(500):
            case = a_case(rng)
            factor = 1 + Fraction(rng.randint(0, 100), 100)
            for month in case.months:
                larger = CdnMonth(cdn=month.cdn, delivered=month.delivered, baseline=scaled(month.delivered, factor))
                assert avoided_cost([larger], case.tariffs, currency="EUR")[0].saved.minor >= 0
                assert reference_price([larger], case.prices, currency="EUR")[0].saved.minor >= 0

    def test_several_cdns_are_worth_the_sum_of_each(self) -> None:
        rng = random.Random(9)
        for _ in range(500):
            case = a_case(rng)
            together = total_saved(avoided_cost(case.months, case.tariffs, currency="EUR"), currency="EUR").minor
            apart = [avoided_cost([month], case.tariffs, currency="EUR")[0].saved.minor for month in case.months]
            assert together == sum(apart)

    def test_a_tariff_prices_every_region_or_is_refused(self) -> None:
        with pytest.raises(ValueError, match="regions"):
            VolumeTariff(cdn="one", regions={"eu": tiers((None, "1"))})

    def test_a_month_without_samples_has_no_rate(self) -> None:
        assert rate_mbps([]) == 0


def test_every_mode_is_asked() -> None:
    rng = random.Random(1)
    assert {a_case(rng).mode for _ in range(50)} == set(Mode)
