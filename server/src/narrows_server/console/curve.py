"""
The drawing beside a rendition's evidence: the baseline's ladder, our point, and the distance between them.

Bytes grow to the right, twice as many for each step; the score grows upwards. Coordinates are for display only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

WIDTH, HEIGHT, MARGIN = 480, 170, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Where things are on a drawing of `WIDTH` by `HEIGHT`."""

    ladder: tuple[tuple[float, float], ...]
    ours: tuple[float, float]
    baseline: tuple[float, float]  # What the baseline needs at our score.

    @property
    def path(self) -> str:
        return " ".join(f"{x},{y}" for x, y in self.ladder)


def curve_of(points: Sequence[tuple[int, int]], *, ours_bytes: int, baseline_bytes: int, score: int) -> Curve:
    """Of *points* (bytes, score in 10⁻⁶ dB) of the ladder; bytes are above 0."""
    sizes = [log2(count) for count in (ours_bytes, baseline_bytes, *(count for count, _ in points))]
    scores = [score, *(one for _, one in points)]

    def place(count: int, at: int) -> tuple[float, float]:
        x = (log2(count) - min(sizes)) / ((max(sizes) - min(sizes)) or 1)
        y = (at - min(scores)) / ((max(scores) - min(scores)) or 1)
        across, down = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
        return round(MARGIN + x * across, 1), round(HEIGHT - MARGIN - y * down, 1)

    return Curve(
        ladder=tuple(place(count, at) for count, at in sorted(points)),
        ours=place(ours_bytes, score),
        baseline=place(baseline_bytes, score),
    )
