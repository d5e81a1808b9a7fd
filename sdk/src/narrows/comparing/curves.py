"""
Rate–quality curves and the mean distance between two of them. Pure: numbers in, numbers out.

BD-rate (Bjøntegaard, VCEG-M33, 2001) with piecewise cubic Hermite interpolation (Fritsch & Carlson, 1980), as the
common test conditions of JVET use it (ISO/IEC TR 23002-8).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

POINTS_MIN = 4
OVERLAP_MIN = 0.5
"""Of the shorter curve's range of quality that both must cover: a mean over less says little."""
_STEPS = 400
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Quality over rate, one point for each setting; *qualities* rise with *rates*."""

    rates: tuple[float, ...]
    qualities: tuple[float, ...]

    @classmethod
    def of(cls, points: Sequence[tuple[float, float | None]]) -> Curve:
        """A curve through (rate, quality) points in any order; those without a quality are left out."""
        known = sorted((rate, quality) for rate, quality in points if quality is not None)
        return cls(tuple(rate for rate, _ in known), tuple(quality for _, quality in known))

    @property
    def is_usable(self) -> bool:
        """Whether there are enough points, and more bytes are never worse."""
        rises = all(b > a for a, b in pairwise(self.qualities))
        return len(self.rates) >= POINTS_MIN and rises and self.rates[0] > 0


def bd_rate(anchor: Curve, tested: Curve) -> float | None:
    """
    Per cent of bytes that *tested* needs more than *anchor* at equal quality, on average; negative where it needs less.

    None with too few points, with curves that fall, or where their qualities hardly overlap.
    """
    if not (anchor.is_usable and tested.is_usable):
        return None
    low = max(anchor.qualities[0], tested.qualities[0])
    high = min(anchor.qualities[-1], tested.qualities[-1])
    shorter = min(c.qualities[-1] - c.qualities[0] for c in (anchor, tested))
    if high - low < OVERLAP_MIN * shorter:
        return None
    at = np.linspace(low, high, _STEPS)
    logs = [interpolate(np.array(c.qualities), np.log(np.array(c.rates)), at) for c in (anchor, tested)]
    return 100 * (math.exp(float(np.trapezoid(logs[1] - logs[0], at)) / (high - low)) - 1)


def interpolate(x: Values, y: Values, at: Values) -> Values:
    """The monotone piecewise cubic through *x*, *y*, where *x* rises, at *at* within its range."""
    steps, rises = np.diff(x), np.diff(y)
    slopes = _slopes(steps, rises / steps)
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(steps) - 1)
    h = steps[i]
    t = (at - x[i]) / h
    found: Values = (
        (2 * t**3 - 3 * t**2 + 1) * y[i]
        + (t**3 - 2 * t**2 + t) * h * slopes[i]
        + (-2 * t**3 + 3 * t**2) * y[i + 1]
        + (t**3 - t**2) * h * slopes[i + 1]
    )
    return found


def _slopes(steps: Values, secants: Values) -> Values:
    """At each point: a weighted harmonic mean of the secants beside it, 0 where they change their sign."""
    slopes = np.zeros(len(steps) + 1)
    for k in range(1, len(steps)):
        before, after = secants[k - 1], secants[k]
        if before * after > 0:
            w1, w2 = 2 * steps[k] + steps[k - 1], steps[k] + 2 * steps[k - 1]
            slopes[k] = (w1 + w2) / (w1 / before + w2 / after)
    slopes[0] = _end_slope(steps[0], steps[1], secants[0], secants[1])
    slopes[-1] = _end_slope(steps[-1], steps[-2], secants[-1], secants[-2])
    return slopes


def _end_slope(step: float, next_step: float, secant: float, next_secant: float) -> float:
    """One-sided, three points, kept monotone."""
    slope = ((2 * step + next_step) * secant - step * next_secant) / (step + next_step)
    if slope * secant <= 0:
        return 0.0
    if secant * next_secant < 0 and abs(slope) > 3 * abs(secant):
        return 3 * secant
    return slope


def setting_at_rate(points: Sequence[tuple[float, float]], rate: float) -> float:
    """
    The setting at which an encoder would need *rate*, from (setting, rate) points; log-linear between and beyond them.
    """
    known = sorted((math.log(r), setting) for setting, r in points)
    wanted = math.log(rate)
    pairs = list(pairwise(known))
    (low, first), (high, last) = next((pair for pair in pairs if pair[1][0] >= wanted), pairs[-1])
    return first if high == low else first + (last - first) * (wanted - low) / (high - low)
