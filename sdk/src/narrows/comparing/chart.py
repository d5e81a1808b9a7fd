"""One chart of rate and quality as inline SVG: the rate on a logarithmic scale, a line and marks for each codec."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 380, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 40
_MARK = 4.5
_TICKS_WANTED = 5


@dataclass(frozen=True, slots=True)
class Line:
    """The points of one codec: (kbit/s, quality, what a reader sees on pointing at it)."""

    codec: str
    points: tuple[tuple[float, float, str], ...]


def chart(title: str, lines: Sequence[Line]) -> str:
    """The SVG element; `codec-N` classes colour the lines by the order of *lines*."""
    rates = [rate for line in lines for rate, _, _ in line.points]
    qualities = [quality for line in lines for _, quality, _ in line.points]
    x_low, x_high = math.log10(min(rates) / 1.15), math.log10(max(rates) * 1.15)
    y_ticks = _linear_ticks(min(qualities), max(qualities))
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def x(rate: float) -> float:
        return _LEFT + (math.log10(rate) - x_low) / (x_high - x_low) * (WIDTH - _LEFT - _RIGHT)

    def y(quality: float) -> float:
        return HEIGHT - _BOTTOM - (quality - y_low) / (y_high - y_low) * (HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)} over kbit/s">',
    ]
    for tick in y_ticks:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in _log_ticks(10**x_low, 10**x_high):
        at = x(tick)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - _BOTTOM + 18}" text-anchor="middle">{_short(tick)}</text>')
    parts.append(f'<text class="axis" x="{WIDTH - _RIGHT}" y="{HEIGHT - 5}" text-anchor="end">kbit/s</text>')
    for number, line in enumerate(lines):
        places = [(x(rate), y(quality), said) for rate, quality, said in sorted(line.points)]
        path = " ".join(f"{'L' if i else 'M'}{px:.1f} {py:.1f}" for i, (px, py, _) in enumerate(places))
        parts.append(f'<g class="codec-{number}"><path class="line" d="{path}"/>')
        parts += [f'<g class="mark">{mark(number, px, py)}<title>{escape(said)}</title></g>' for px, py, said in places]
        parts.append("</g>")
    return "".join([*parts, "</svg>"])


def mark(number: int, x: float, y: float, size: float = _MARK) -> str:
    """A shape for each codec, so that colour is not all that tells them apart."""
    s = size
    if number % 4 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{s}"/>'
    if number % 4 == 1:
        return f'<rect x="{x - s:.1f}" y="{y - s:.1f}" width="{2 * s}" height="{2 * s}"/>'
    if number % 4 == 2:
        return f'<path d="M{x:.1f} {y - 1.3 * s:.1f}l{1.25 * s} {2.2 * s}h{-2.5 * s}z"/>'
    return f'<path d="M{x:.1f} {y - 1.4 * s:.1f}l{1.4 * s} {1.4 * s}l{-1.4 * s} {1.4 * s}l{-1.4 * s} {-1.4 * s}z"/>'


def _linear_ticks(low: float, high: float) -> list[float]:
    """Round values that enclose *low* and *high*."""
    span = max(high - low, 1e-6)
    raw = span / _TICKS_WANTED
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * i, 9) for i in range(first, max(last, first + 1) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between *low* and *high*; the powers alone where these would crowd."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**e for e in exponents for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    powers = [10.0**e for e in exponents if low <= 10.0**e <= high]
    return powers if len(ticks) > 8 and len(powers) > 2 else ticks


def _short(rate: float) -> str:
    return f"{rate / 1000:g}k" if rate >= 10_000 else f"{rate:g}"
