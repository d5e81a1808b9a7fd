"""The estimator: worked examples of the four methods, and that the bound covers the truth on five shapes of traffic."""

from __future__ import annotations

import pytest
from narrows_metering.estimator import Measured, Method, Sessions, census, holdout, sampled, stipulated

from tests.estimator.shapes import ASSETS, Shape, coverage


class TestMethods:
    def test_of_a_stipulated_ratio_four_fifths_are_billed(self) -> None:
        estimate = stipulated({"film": 1_000, "news": 500, "unknown": 700}, {"film": 500_000, "news": 100_000}, month=3)
        assert (estimate.saved_bytes, estimate.billed_bytes) == (550, 440)

    def test_a_stipulated_loss_counts_in_full(self) -> None:
        assert stipulated({"noise": 1_000}, {"noise": -100_000}, month=1).billed_bytes == -100

    def test_a_stipulated_ratio_holds_for_three_months(self) -> None:
        with pytest.raises(ValueError, match="month 4"):
            stipulated({}, {}, month=4)

    def test_a_census_without_noise_is_the_sum(self) -> None:
        assets = [Measured(delivered_bytes=800, saved_bytes=200), Measured(delivered_bytes=1_000, saved_bytes=-100)]
        estimate = census(assets, noise_ppm=0)
        assert (estimate.lower_bytes, estimate.saved_bytes, estimate.upper_bytes) == (100, 100, 100)

    def test_the_noise_of_the_measurement_lowers_what_a_census_bills(self) -> None:
        # Baseline 1,000,000 bytes, 2 % of which are 20,000; times 1.647 and rounded against us.
        estimate = census([Measured(delivered_bytes=800_000, saved_bytes=200_000)])
        assert (estimate.saved_bytes, estimate.billed_bytes) == (200_000, 200_000 - 32_942)

    def test_a_tail_stands_for_all_its_bytes(self) -> None:
        # Both drawn assets save a quarter of what was delivered: so does the whole tail of 8,000 bytes.
        tail = [Measured(delivered_bytes=800, saved_bytes=200), Measured(delivered_bytes=400, saved_bytes=100)]
        certain = [Measured(delivered_bytes=10_000, saved_bytes=5_000)]
        estimate = sampled(certain, tail, tail_bytes=8_000, noise_ppm=0)
        assert (estimate.method, estimate.saved_bytes, estimate.billed_bytes) == (Method.SAMPLED, 7_000, 7_000)

    def test_a_tail_that_differs_is_billed_at_its_lower_bound(self) -> None:
        # Savings per byte of 0.2 and 0.3: mean 0.25, standard error 0.05; 6.314 of them with one degree of freedom.
        tail = [Measured(delivered_bytes=1_000, saved_bytes=200), Measured(delivered_bytes=1_000, saved_bytes=300)]
        estimate = sampled([], tail, tail_bytes=1_000_000, noise_ppm=0)
        assert estimate.saved_bytes == 250_000
        assert -65_707 <= estimate.billed_bytes <= 250_000 - 315_700

    def test_a_tail_of_one_has_no_spread(self) -> None:
        with pytest.raises(ValueError, match="at least two"):
            sampled([], [Measured(delivered_bytes=1, saved_bytes=1)], tail_bytes=2)

    def test_a_holdout_compares_bytes_per_played_second(self) -> None:
        ours = [Sessions(delivered_bytes=6_000, played_ms=6_000)] * 10
        ladder = [Sessions(delivered_bytes=1_500, played_ms=1_000)] * 10
        estimate = holdout(ours, ladder)
        assert (estimate.method, estimate.saved_bytes, estimate.billed_bytes) == (Method.HOLDOUT, 30_000, 30_000)

    def test_a_holdout_that_varies_is_billed_below_its_mean(self) -> None:
        ours = [Sessions(delivered_bytes=6_000 + n, played_ms=6_000) for n in range(10)]
        ladder = [Sessions(delivered_bytes=1_400 + 20 * n, played_ms=1_000) for n in range(10)]
        estimate = holdout(ours, ladder)
        assert estimate.billed_bytes < estimate.saved_bytes

    def test_a_holdout_needs_groups_on_both_sides(self) -> None:
        with pytest.raises(ValueError, match="two groups"):
            holdout([Sessions(delivered_bytes=1, played_ms=1)] * 2, [])


class TestSimulation:
    @pytest.mark.parametrize("shape", list(Shape))
    def test_the_lower_bound_lies_below_the_truth_in_most_months(self, shape: Shape) -> None:
        # 40 draws show a broken estimator, not a rate of 0.95: without the noise, 0.73 of them would be covered.
        assert coverage(shape, repeats=40).rate >= 0.875

    def test_four_hundred_twin_encodes_know_a_catalogue_to_a_point(self) -> None:
        result = coverage(Shape.CATALOGUE, repeats=10)
        assert ASSETS == 5_000
        assert result.twin_encodes <= 400
        assert result.half_width_points <= 1
