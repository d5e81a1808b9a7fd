"""`make valuation`: random months under random tariffs, the product beside a naive reckoning in fractions."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.valuation.oracle import a_case, naive, product


def main() -> int:
    """0 if all agree; else 1, and the first case that does not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, started = random.Random(options.seed), time.monotonic()
    for number in range(options.cases):
        case = a_case(rng)
        if product(case) != naive(case):
            sys.stdout.write(f"case {number}: the product says {product(case)}, the oracle {naive(case)}\n{case}\n")
            return 1
    seconds = time.monotonic() - started
    sys.stdout.write(f"{options.cases:,} random traffic and tariff combinations agree ({seconds:.0f} s)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
