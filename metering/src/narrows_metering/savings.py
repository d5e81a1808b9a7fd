"""
How many bytes the baseline needs for the same quality, and what that saves on what was delivered.

Pure arithmetic on measured points; measuring is the SDK's work. Logarithms are taken with `decimal`, whose `ln` and
`exp` are correctly rounded: the same points give the same bytes on every machine, which no float library promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Final

_CONTEXT: Final = Context(prec=40, rounding="ROUND_HALF_EVEN")


class Mismatch(StrEnum):
    """Why a rendition has no baseline at equal quality."""

    QUALITY_ABOVE_LADDER = "quality_above_ladder"  # Nobody would have bought this quality: no credit.
    QUALITY_BELOW_LADDER = "quality_below_ladder"
    TOO_FEW_POINTS = "too_few_points"
    NOT_MONOTONE = "not_monotone"  # More bytes without better quality: the ladder proves nothing.


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityPoint:
    """One rung of the baseline's ladder, as measured."""

    payload_bytes: int  # From 1.
    score: int  # 10⁻⁶ dB of the contract's metric.

    def __post_init__(self) -> None:
        if self.payload_bytes < 1:
            raise ValueError("a quality point needs at least one byte")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """The qualities do not overlap, or the ladder cannot be interpolated. The rendition saves nothing."""

    reason: Mismatch


def bytes_at_equal_quality(points: Sequence[QualityPoint], score: int) -> int | Unmatched:
    """
    The bytes that the baseline needs for *score* (10⁻⁶ dB), from its measured *points* in any order.

    Interpolates the logarithm of the bytes over the score by a monotone piecewise cubic (PCHIP: Fritsch and Carlson
    1980, with the slopes of Fritsch and Butland 1984, as in SciPy). Never extrapolates. Rounded down to whole bytes,
    in the customer's favour.

    >>> worse = QualityPoint(payload_bytes=1000, score=30_000_000)
    >>> better = QualityPoint(payload_bytes=4000, score=36_000_000)
    >>> bytes_at_equal_quality([worse, better], 33_000_000)
    2000
    """
    if len(points) < 2:
        return Unmatched(reason=Mismatch.TOO_FEW_POINTS)
    ladder = sorted(points, key=lambda point: (point.score, point.payload_bytes))
    for low, high in pairwise(ladder):
        if low.score == high.score or low.payload_bytes >= high.payload_bytes:
            return Unmatched(reason=Mismatch.NOT_MONOTONE)
    if score > ladder[-1].score:
        return Unmatched(reason=Mismatch.QUALITY_ABOVE_LADDER)
    if score < ladder[0].score:
        return Unmatched(reason=Mismatch.QUALITY_BELOW_LADDER)
    for point in ladder:
        if point.score == score:
            return point.payload_bytes  # Measured, so nothing may be lost to a logarithm and back.
    log_bytes = _pchip([point.score for point in ladder], [_log(point.payload_bytes) for point in ladder], score)
    return int(_CONTEXT.exp(log_bytes).to_integral_value(ROUND_FLOOR))


def saved_bytes(delivered: int, ours: int, baseline: int) -> int:
    """
    What *delivered* bytes save, when *ours* needs as much for the measured part as *baseline* does: rounded down.

    Exact integers; negative when we lose. Raises ValueError unless delivered ≥ 0, ours ≥ 1 and baseline ≥ 0.

    >>> saved_bytes(1_000_000, ours=800, baseline=1000)
    250000
    """
    if delivered < 0 or ours < 1 or baseline < 0:
        raise ValueError("bytes out of range")
    return delivered * (baseline - ours) // ours


def _log(payload_bytes: int) -> Decimal:
    return _CONTEXT.ln(Decimal(payload_bytes))


def _pchip(x: Sequence[int], y: Sequence[Decimal], at: int) -> Decimal:
    """The monotone cubic through (x, y) at *at*; x strictly increasing, at within it."""
    c = _CONTEXT
    widths = [Decimal(high - low) for low, high in pairwise(x)]
    rises = [c.divide(c.subtract(b, a), width) for a, b, width in zip(y[:-1], y[1:], widths, strict=True)]
    slopes = [_end_slope(widths, rises)]
    for k in range(1, len(rises)):
        slopes.append(_inner_slope(widths[k - 1 : k + 1], rises[k - 1 : k + 1]))
    slopes.append(_end_slope(widths[::-1], rises[::-1]))

    k = next(k for k in range(len(rises)) if at <= x[k + 1])
    t, width, rise = Decimal(at - x[k]), widths[k], rises[k]
    # Horner's form of the cubic Hermite polynomial on piece k.
    bend = c.divide(c.subtract(c.subtract(c.multiply(3, rise), c.multiply(2, slopes[k])), slopes[k + 1]), width)
    twist = c.divide(
        c.subtract(c.add(slopes[k], slopes[k + 1]), c.multiply(2, rise)),
        c.multiply(width, width),
    )
    return c.fma(c.fma(c.fma(twist, t, bend), t, slopes[k]), t, y[k])


def _inner_slope(widths: Sequence[Decimal], rises: Sequence[Decimal]) -> Decimal:
    """Fritsch and Butland's weighted harmonic mean; rises are positive because the ladder is monotone."""
    c = _CONTEXT
    left = c.add(c.multiply(2, widths[1]), widths[0])
    right = c.add(widths[1], c.multiply(2, widths[0]))
    return c.divide(c.add(left, right), c.add(c.divide(left, rises[0]), c.divide(right, rises[1])))


def _end_slope(widths: Sequence[Decimal], rises: Sequence[Decimal]) -> Decimal:
    """The three-point slope at the first point, never falling; between rising points it needs no upper limit."""
    c = _CONTEXT
    if len(rises) == 1:
        return rises[0]
    total = c.add(widths[0], widths[1])
    weighted = c.subtract(c.multiply(c.add(widths[0], total), rises[0]), c.multiply(widths[0], rises[1]))
    return max(Decimal(0), c.divide(weighted, total))
