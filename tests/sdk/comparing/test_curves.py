"""BD-rate: exact on curves whose distance is known, and equal to SciPy's PCHIP."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows.comparing.curves import Curve, bd_rate, interpolate, setting_at_rate
from scipy.interpolate import PchipInterpolator

QUALITIES = (30.0, 33.0, 35.5, 38.0, 40.0)


def a_curve(factor: float = 1.0, offset: float = 0.0) -> Curve:
    return Curve.of([(factor * math.exp(q / 5), q + offset) for q in QUALITIES])


@pytest.mark.parametrize(("factor", "percent"), [(1.0, 0.0), (0.8, -20.0), (1.5, 50.0), (2.0, 100.0)])
def test_a_curve_that_needs_a_constant_factor_is_that_far_away(factor: float, percent: float) -> None:
    assert bd_rate(a_curve(), a_curve(factor)) == pytest.approx(percent, abs=1e-9)


def test_curves_that_hardly_overlap_or_fall_are_not_compared() -> None:
    falling = Curve((1.0, 2.0, 3.0, 4.0), (30.0, 31.0, 30.5, 33.0))

    assert bd_rate(a_curve(), a_curve(offset=8)) is None
    assert bd_rate(a_curve(), falling) is None
    assert bd_rate(a_curve(), Curve((1.0, 2.0, 3.0), (30.0, 31.0, 33.0))) is None


@given(
    steps=st.lists(st.floats(0.1, 5), min_size=3, max_size=8),
    rises=st.lists(st.floats(-5, 5), min_size=3, max_size=8),
)
def test_interpolation_is_scipys_pchip(steps: list[float], rises: list[float]) -> None:
    count = min(len(steps), len(rises))
    x = np.concatenate([[0.0], np.cumsum(steps[:count])])
    y = np.concatenate([[1.0], 1 + np.cumsum(rises[:count])])
    at = np.linspace(x[0], x[-1], 50)

    np.testing.assert_allclose(interpolate(x, y, at), PchipInterpolator(x, y)(at), rtol=1e-9, atol=1e-9)


def test_the_setting_at_a_rate_is_between_its_neighbours() -> None:
    points = [(20.0, 800.0), (30.0, 200.0), (40.0, 50.0)]

    assert setting_at_rate(points, 400) == pytest.approx(25)
    assert setting_at_rate(points, 50) == pytest.approx(40)
    assert setting_at_rate(points, 25) == pytest.approx(45)
