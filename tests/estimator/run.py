"""`make estimator`: how often the lower bound lies below the truth, on five shapes of traffic and with holdouts."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from tests.estimator.sessions import SHARES_PERCENT, holdout_coverage
from tests.estimator.shapes import Coverage, Shape, coverage

COVERAGE_MIN = 0.95


def main() -> int:
    """0 if the bound covers the truth often enough on every shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: dict[str, Coverage] = {shape: coverage(shape, repeats=options.repeats) for shape in Shape}
    for percent in SHARES_PERCENT:
        results[f"holdout {percent} %"] = holdout_coverage(percent, repeats=options.repeats)
    if options.json:
        document = {shape: {**asdict(result), "rate": result.rate} for shape, result in results.items()}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        sys.stdout.write(f"{'shape':<11} {'coverage':>8} {'90 % half-width':>16} {'twin encodes':>13}\n")
        for shape, result in results.items():
            width, encodes = f"±{result.half_width_points:.2f} points", f"{result.twin_encodes:,.0f}"
            sys.stdout.write(f"{shape:<11} {result.rate:>8.3f} {width:>16} {encodes:>13}\n")
    # As far as so many repeats can tell: two standard errors of the simulation itself.
    error = 2 * (COVERAGE_MIN * (1 - COVERAGE_MIN) / options.repeats) ** 0.5
    return 0 if all(result.rate >= COVERAGE_MIN - error for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
