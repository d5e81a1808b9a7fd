"""The estimator: worked examples of the four methods, and that the bound covers the truth on five shapes of traffic."""

from __future__ import annotations

import pytest
from narrows_metering.estimator import (
    Estimate,
    Measured,
    MeasuredStratum,
    Method,
    Sessions,
    census,
    holdout,
    sampled,
    stipulated,
)

from tests.estimator.sessions import holdout_coverage
from tests.estimator.shapes import ASSETS, Shape, coverage


class TestMethods:
    def test_of_a_stipulated_ratio_four_fifths_are_billed(self) -> None:
        estimate = stipulated({"film": 1_000, "news": 500, "unknown": 700}, {"film": 500_000, "news": 100_000})
        assert (estimate.saved_bytes, estimate.billed_bytes) == (550, 440)

    def test_a_stipulated_loss_counts_in_full(self) -> None:
        assert stipulated({"noise": 1_000}, {"noise": -100_000}).billed_bytes == -100

    def test_a_census_without_noise_is_the_sum(self) -> None:
        assets = [Measured(delivered_bytes=800, saved_bytes=200), Measured(delivered_bytes=1_000, saved_bytes=-100)]
        estimate = census(assets, noise_ppm=0)
        assert (estimate.lower_bytes, estimate.saved_bytes, estimate.upper_bytes) == (100, 100, 100)

    def test_the_noise_of_the_measurement_lowers_what_a_census_bills(self) -> None:
        # Baseline 1,000,000 bytes, 2 % of which are 20,000; times 1.647 and 1.03, and rounded against us.
        estimate = census([Measured(delivered_bytes=800_000, saved_bytes=200_000)])
        assert (estimate.saved_bytes, estimate.billed_bytes) == (200_000, 200_000 - 33_930)

    def test_a_stratum_stands_for_all_its_bytes(self) -> None:
        # Both drawn assets save a quarter of what was delivered: so does the whole stratum of 8,000 bytes.
        tail = [Measured(delivered_bytes=800, saved_bytes=200), Measured(delivered_bytes=400, saved_bytes=100)]
        certain = [Measured(delivered_bytes=10_000, saved_bytes=5_000)]
        estimate = sampled(certain, [MeasuredStratum(bytes=8_000, drawn=tail)], noise_ppm=0)
        assert (estimate.method, estimate.saved_bytes, estimate.billed_bytes) == (Method.SAMPLED, 7_000, 7_000)

    def test_a_stratum_that_differs_is_billed_at_its_lower_bound(self) -> None:
        # Savings per byte of 0.2 and 0.3: mean 0.25, standard error 0.05; 6.314 · 1.03 of them, one degree of freedom.
        tail = [Measured(delivered_bytes=1_000, saved_bytes=200), Measured(delivered_bytes=1_000, saved_bytes=300)]
        estimate = sampled([], [MeasuredStratum(bytes=1_000_000, drawn=tail)], noise_ppm=0)
        assert estimate.saved_bytes == 250_000
        # Of every asset the five-hundredth part was drawn for certain, so a thousandth less than 325,171.
        assert estimate.billed_bytes == pytest.approx(250_000 - 325_171 * 0.999, abs=20)

    def test_what_was_drawn_nearly_for_certain_is_hardly_uncertain(self) -> None:
        tail = [Measured(delivered_bytes=499, saved_bytes=100), Measured(delivered_bytes=499, saved_bytes=200)]
        estimate = sampled([], [MeasuredStratum(bytes=1_000, drawn=tail)], noise_ppm=0)
        assert estimate.saved_bytes - estimate.billed_bytes < 35  # Instead of 650.

    def test_an_asset_of_which_segments_were_measured_is_less_certain(self) -> None:
        whole = Measured(delivered_bytes=800, saved_bytes=200)
        parts = Measured(delivered_bytes=800, saved_bytes=200, noise_ppm=30_000)
        assert census([parts]).billed_bytes < census([whole]).billed_bytes
        assert census([parts], noise_ppm=0).billed_bytes < 200

    def test_a_stratum_of_one_has_no_spread(self) -> None:
        with pytest.raises(ValueError, match="at least two"):
            sampled([], [MeasuredStratum(bytes=2, drawn=[Measured(delivered_bytes=1, saved_bytes=1)])])

    def test_a_holdout_compares_bytes_per_played_second(self) -> None:
        groups = [Sessions(bytes_ours=6_000, played_ms_ours=6_000, bytes_baseline=1_500, played_ms_baseline=1_000)] * 10
        estimate = holdout(groups)
        assert (estimate.method, estimate.saved_bytes, estimate.billed_bytes) == (Method.HOLDOUT, 30_000, 30_000)

    def test_a_holdout_that_varies_is_billed_below_its_mean(self) -> None:
        groups = [
            Sessions(
                bytes_ours=6_000 + n, played_ms_ours=6_000, bytes_baseline=1_400 + 20 * n, played_ms_baseline=1_000
            )
            for n in range(10)
        ]
        assert holdout(groups).billed_bytes < holdout(groups).saved_bytes

    def test_a_holdout_needs_groups_on_both_sides(self) -> None:
        alone = Sessions(bytes_ours=1, played_ms_ours=1, bytes_baseline=0, played_ms_baseline=0)
        with pytest.raises(ValueError, match="two groups"):
            holdout([alone] * 2)

    def test_where_there_is_nothing_to_compare_nothing_is_saved(self) -> None:
        assert Estimate.of_nothing(Method.HOLDOUT).billed_bytes == 0


class TestSimulation:
    @pytest.mark.parametrize("shape", list(Shape))
    def test_the_lower_bound_lies_below_the_truth_in_most_months(self, shape: Shape) -> None:
        # 40 draws show a broken estimator, not a rate of 0.95: without the noise, 0.73 of them would be covered.
        assert coverage(shape, repeats=40).rate >= 0.875

    @pytest.mark.parametrize("shape", sorted(set(Shape) - {Shape.CLASSES}))
    def test_four_hundred_twin_encodes_know_five_thousand_assets_to_a_point(self, shape: Shape) -> None:
        result = coverage(shape, repeats=10)
        assert ASSETS == 5_000
        assert result.twin_encodes <= 400
        assert result.half_width_points <= 1.05  # Ten draws tell it to a twentieth; `make estimator` prints it.

    def test_classes_that_nobody_names_are_known_to_a_point_and_a_half(self) -> None:
        assert coverage(Shape.CLASSES, repeats=10).half_width_points <= 1.5

    @pytest.mark.parametrize("percent", [1, 5])
    def test_a_holdouts_bound_lies_below_the_truth_in_most_months(self, percent: int) -> None:
        assert holdout_coverage(percent, repeats=20).rate >= 0.85
