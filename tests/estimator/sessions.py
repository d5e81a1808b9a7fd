"""
A month of sessions, a random share of which got the baseline's ladder, with the truth about the others.

Titles differ in rate and savings, lines in speed; on a slow line a player climbs the ladder, and only half is saved.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from narrows_metering.estimator import Sessions, holdout

from tests.estimator.shapes import Coverage

SHARES_PERCENT = (1, 3, 5)
SESSIONS = 200_000
TITLES, DAYS = 300, 30


def a_month_of_sessions(percent: int, repeat: int) -> tuple[list[Sessions], int, int]:
    """The groups, the truth about what our sessions saved, and what they would have needed; in bytes."""
    popularity, rate, saved = _titles()
    rng = np.random.default_rng([percent, repeat])
    title = rng.choice(TITLES, SESSIONS, p=popularity)
    played_ms = (1_000 * (rng.exponential(1_200, SESSIONS) + 10)).astype(np.int64)
    speed = rng.lognormal(0, 0.6, SESSIONS)
    baseline = (rate[title] * speed * played_ms * 500).astype(np.int64)
    ours = (baseline * (1 - saved[title] * np.where(speed < 0.7, 0.5, 1))).astype(np.int64)
    held_out = rng.random(SESSIONS) < percent / 100
    group = title * DAYS + rng.integers(0, DAYS, SESSIONS)

    def totals(values: np.typing.NDArray[np.int64], chosen: np.typing.NDArray[np.bool_]) -> list[int]:
        # Exact in float64: no sum comes near 2^53.
        summed = np.bincount(group[chosen], weights=values[chosen], minlength=TITLES * DAYS)
        return [int(value) for value in summed]

    columns = (totals(ours, ~held_out), totals(played_ms, ~held_out), totals(baseline, held_out))
    groups = [
        Sessions(bytes_ours=a, played_ms_ours=b, bytes_baseline=c, played_ms_baseline=d)
        for a, b, c, d in zip(*columns, totals(played_ms, held_out), strict=True)
        if b or d
    ]
    needed = int(baseline[~held_out].sum())
    return groups, needed - int(ours[~held_out].sum()), needed


def holdout_coverage(percent: int, *, repeats: int) -> Coverage:
    """How often the lower bound of M4 lies below the truth."""
    covered, width = 0, 0.0
    for repeat in range(repeats):
        groups, truth, needed = a_month_of_sessions(percent, repeat)
        estimate = holdout(groups)
        covered += estimate.billed_bytes <= truth
        width += 100 * (estimate.saved_bytes - estimate.lower_bytes) / needed
    return Coverage(repeats=repeats, covered=covered, half_width_points=width / repeats, twin_encodes=0)


@cache
def _titles() -> tuple[np.typing.NDArray[np.float64], np.typing.NDArray[np.float64], np.typing.NDArray[np.float64]]:
    rng = np.random.default_rng(1)
    popularity = np.arange(1, TITLES + 1) ** -0.9
    return popularity / popularity.sum(), rng.lognormal(0, 0.5, TITLES), rng.normal(0.3, 0.12, TITLES)
