"""
Five shapes of a month's traffic, with the truth beside what a measurement with noise would say of it.

The noise has the spread that the estimator assumes; the savings of the assets do not have any shape that it assumes.
What the encode records say of an asset, bits a pixel, goes with its savings only loosely (a correlation of −0.5), and
not at all where a test asks for that. `LABELLED` are the classes of `CLASSES` with a label on each asset.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from math import exp
from statistics import fmean, pstdev

from narrows_metering.estimator import NOISE_PPM, Estimate, Measured, MeasuredStratum, sampled
from narrows_metering.sampling import SAMPLE_COUNT, Traits, draw, sample_seed

ASSETS = 5_000
TOTAL_BYTES = 10**15
CORRELATION = -0.5


class Shape(StrEnum):
    """How bytes and savings lie over the assets."""

    CATALOGUE = "catalogue"  # Zipf 0.9, savings 35 ± 12 %: video on demand.
    HITS = "hits"  # Zipf 1.3: a few titles are nearly all of it.
    FLAT = "flat"  # Every asset about the same: user uploads of one day.
    CLASSES = "classes"  # Animation saves 60 %, grain loses 15 %, and the popular ones save less.
    LABELLED = "labelled"  # The same, and the encodes say which class an asset is of.
    HEAVY = "heavy"  # Pareto tails in bytes, and one asset in twenty where we lose badly.


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A population and its truth."""

    delivered: dict[str, int]
    saved: dict[str, int]
    classes: dict[str, str]

    @property
    def truth(self) -> int:
        return sum(self.saved.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What many draws of one month gave."""

    repeats: int
    covered: int  # Lower bound ≤ truth.
    half_width_points: float  # Mean half-width of the 90 % interval of the savings in percent of the baseline.
    twin_encodes: float

    @property
    def rate(self) -> float:
        return self.covered / self.repeats


@cache
def a_month(shape: Shape) -> Month:
    """The month of this shape; always the same."""
    rng = random.Random(f"month {shape}")
    weight, share = _SHAPES[shape]
    weights = [weight(rank, rng) for rank in range(1, ASSETS + 1)]
    scale = TOTAL_BYTES / sum(weights)
    delivered = {f"asset-{rank:04}": int(value * scale) + 1 for rank, value in enumerate(weights)}
    saved, classes = {}, {}
    for rank, (asset, volume) in enumerate(delivered.items()):
        drawn = share(rank, rng)
        part = max(-0.5, min(0.85, drawn))
        saved[asset] = int(volume * part / (1 - part))  # *part* is of the baseline's bytes.
        classes[asset] = f"{drawn + (0.1 if rank < 300 else 0):.2f}" if shape is Shape.LABELLED else ""
    return Month(delivered=delivered, saved=saved, classes=classes)


def traits_of(month: Month, *, correlation: float) -> dict[str, Traits]:
    """Bits a pixel that go with the savings per byte by *correlation*."""
    rng = random.Random("traits")
    ratios = {asset: month.saved[asset] / volume for asset, volume in month.delivered.items()}
    mean, spread = fmean(ratios.values()), pstdev(ratios.values())
    rest = (1 - correlation**2) ** 0.5
    return {
        asset: Traits(
            content_class=month.classes[asset],
            bits_per_pixel_ppm=int(
                100_000 * exp(0.5 * (correlation * (ratio - mean) / spread + rest * rng.gauss(0, 1)))
            ),
        )
        for asset, ratio in ratios.items()
    }


def an_estimate(month: Month, repeat: int, *, count: int, traits: dict[str, Traits]) -> tuple[Estimate, int]:
    """The month drawn and measured once more, with the number of twin encodes."""
    seed = sample_seed(contract_hash="contract", period="2026-11", ledger_root=f"{repeat:064x}")
    sample = draw(month.delivered, seed, count=count, traits=traits)
    rng = random.Random(repeat)

    def measure(asset: str) -> Measured:
        volume = month.delivered[asset]
        baseline = (volume + month.saved[asset]) * (1 + rng.gauss(0, NOISE_PPM / 1_000_000))
        return Measured(delivered_bytes=volume, saved_bytes=int(baseline) - volume)

    strata = [MeasuredStratum(bytes=s.bytes, drawn=[measure(asset) for asset in s.drawn]) for s in sample.strata]
    estimate = sampled([measure(asset) for asset in sample.certainty], strata)
    return estimate, len(sample.certainty) + len(sample.tail)


def coverage(shape: Shape, *, repeats: int, count: int = SAMPLE_COUNT, correlation: float = CORRELATION) -> Coverage:
    """How often the lower bound lies below the truth."""
    month = a_month(shape)
    traits = traits_of(month, correlation=correlation)
    covered, width, encodes = 0, 0.0, 0
    for repeat in range(repeats):
        estimate, twins = an_estimate(month, repeat, count=count, traits=traits)
        covered += estimate.billed_bytes <= month.truth
        width += _rate_points(estimate.saved_bytes) - _rate_points(estimate.lower_bytes)
        encodes += twins
    return Coverage(repeats=repeats, covered=covered, half_width_points=width / repeats, twin_encodes=encodes / repeats)


def _rate_points(saved: int) -> float:
    return 100 * saved / (TOTAL_BYTES + saved)


_SHAPES: dict[Shape, tuple[Callable[[int, random.Random], float], Callable[[int, random.Random], float]]] = {
    Shape.CATALOGUE: (lambda rank, _: rank**-0.9, lambda _, rng: rng.gauss(0.35, 0.12)),
    Shape.HITS: (lambda rank, _: rank**-1.3, lambda _, rng: rng.gauss(0.30, 0.15)),
    Shape.FLAT: (lambda _, rng: rng.uniform(0.5, 1.5), lambda _, rng: rng.gauss(0.35, 0.12)),
    Shape.CLASSES: (
        lambda rank, _: rank**-0.8,
        lambda rank, rng: rng.choice((0.6, 0.35, 0.3, -0.15)) - (0.1 if rank < 300 else 0.0),
    ),
    Shape.LABELLED: (
        lambda rank, _: rank**-0.8,
        lambda rank, rng: rng.choice((0.6, 0.35, 0.3, -0.15)) - (0.1 if rank < 300 else 0.0),
    ),
    Shape.HEAVY: (
        lambda _, rng: rng.paretovariate(1.1),
        lambda _, rng: -0.45 if rng.random() < 0.05 else rng.gauss(0.4, 0.1),
    ),
}
