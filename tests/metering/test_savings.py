"""Bytes at equal quality, and what they save: against SciPy, and against the plain rules."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.savings import Mismatch, QualityPoint, Unmatched, bytes_at_equal_quality, saved_bytes
from scipy.interpolate import PchipInterpolator


def points(*pairs: tuple[int, int]) -> list[QualityPoint]:
    """Quality points from (bytes, score)."""
    return [QualityPoint(payload_bytes=size, score=score) for size, score in pairs]


@st.composite
def ladders(draw: st.DrawFn) -> list[QualityPoint]:
    """Two to eight rungs that rise in bytes and score."""
    count = draw(st.integers(2, 8))
    sizes = draw(st.lists(st.integers(100, 10**10), min_size=count, max_size=count, unique=True))
    scores = draw(st.lists(st.integers(1_000_000, 60_000_000), min_size=count, max_size=count, unique=True))
    return points(*zip(sorted(sizes), sorted(scores), strict=True))


LADDER = points((100_000, 10_000_000), (210_000, 12_500_000), (400_000, 14_000_000), (900_000, 17_000_000))


class TestBytesAtEqualQuality:
    @given(ladders(), st.floats(0, 1))
    def test_it_is_what_scipy_interpolates(self, ladder: list[QualityPoint], where: float) -> None:
        low, high = ladder[0].score, ladder[-1].score
        score = low + int((high - low) * where)

        found = bytes_at_equal_quality(ladder, score)

        curve = PchipInterpolator([p.score for p in ladder], [math.log(p.payload_bytes) for p in ladder])
        expected = math.exp(float(curve(score)))
        assert isinstance(found, int)
        assert found == pytest.approx(expected, rel=1e-6, abs=1.01)

    @given(ladders(), st.data())
    def test_more_quality_never_needs_fewer_bytes_and_never_leaves_its_rungs(
        self, ladder: list[QualityPoint], data: st.DataObject
    ) -> None:
        scores = sorted(data.draw(st.lists(st.integers(ladder[0].score, ladder[-1].score), min_size=2, max_size=6)))
        found = [bytes_at_equal_quality(ladder, score) for score in scores]
        sizes = [size for size in found if isinstance(size, int)]

        assert len(sizes) == len(scores)
        assert sizes == sorted(sizes)
        assert ladder[0].payload_bytes <= sizes[0]
        assert sizes[-1] <= ladder[-1].payload_bytes

    @pytest.mark.parametrize("point", LADDER)
    def test_at_a_measured_point_it_is_what_was_measured(self, point: QualityPoint) -> None:
        assert bytes_at_equal_quality(LADDER, point.score) == point.payload_bytes

    def test_the_order_of_the_points_does_not_matter(self) -> None:
        assert bytes_at_equal_quality(LADDER[::-1], 13_000_000) == bytes_at_equal_quality(LADDER, 13_000_000)

    def test_these_points_give_these_bytes_on_every_machine(self) -> None:
        found = [bytes_at_equal_quality(LADDER, score) for score in (10_000_001, 13_333_333, 16_999_999)]
        assert found == [100_000, 302_291, 899_999]

    @pytest.mark.parametrize(
        ("ladder", "score", "reason"),
        [
            (LADDER, 17_000_001, Mismatch.QUALITY_ABOVE_LADDER),
            (LADDER, 9_999_999, Mismatch.QUALITY_BELOW_LADDER),
            (LADDER[:1], 10_000_000, Mismatch.TOO_FEW_POINTS),
            ([], 0, Mismatch.TOO_FEW_POINTS),
            (points((100, 5), (200, 4)), 4, Mismatch.NOT_MONOTONE),
            (points((100, 5), (200, 5)), 5, Mismatch.NOT_MONOTONE),
            (points((100, 5), (100, 6)), 5, Mismatch.NOT_MONOTONE),
        ],
    )
    def test_where_nothing_can_be_compared_it_says_why(
        self, ladder: list[QualityPoint], score: int, reason: Mismatch
    ) -> None:
        assert bytes_at_equal_quality(ladder, score) == Unmatched(reason=reason)

    def test_a_point_without_bytes_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one byte"):
            QualityPoint(payload_bytes=0, score=1)


class TestSavedBytes:
    @pytest.mark.parametrize(
        ("delivered", "ours", "baseline", "saved"),
        [
            (1_000_000, 800, 1000, 250_000),
            (1_000_000, 1000, 800, -200_000),
            (1_000_000, 1000, 1000, 0),
            (10, 3, 4, 3),  # 3.33 is rounded down,
            (10, 3, 2, -4),  # and so is −3.33: always in the customer's favour.
            (0, 3, 4, 0),
            (2**60, 3, 4, 2**60 // 3),  # No float in between.
        ],
    )
    def test_worked_examples(self, delivered: int, ours: int, baseline: int, saved: int) -> None:
        assert saved_bytes(delivered, ours, baseline) == saved

    @given(st.integers(0, 2**70), st.integers(1, 2**50), st.integers(0, 2**50))
    def test_the_baseline_traffic_is_never_negative(self, delivered: int, ours: int, baseline: int) -> None:
        assert delivered + saved_bytes(delivered, ours, baseline) >= 0

    @pytest.mark.parametrize("arguments", [(-1, 1, 1), (1, 0, 1), (1, 1, -1)])
    def test_bytes_out_of_range_are_refused(self, arguments: tuple[int, int, int]) -> None:
        with pytest.raises(ValueError, match="out of range"):
            saved_bytes(*arguments)
