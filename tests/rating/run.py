"""`make rating`: random contracts rated by the product and by the naive reckoning; every difference is shown."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter

from narrows_server.rating.rate import month_total, rate
from rich.progress import track

from .cases import Case, a_case
from .oracle import limited, naive

SHOWN = 5


def product(case: Case) -> dict[tuple[str, str], int]:
    """By kind and period, what the product's lines come to."""
    lines = rate(
        case.parts,
        period=case.period,
        currency=case.currency,
        year=case.year,
        corrections=case.corrections,
        already_minor=case.already_minor,
        credit_minor=case.credit_minor,
    )
    book: Counter[tuple[str, str]] = Counter()
    for line in lines:
        assert line.amount.currency == case.currency
        book[line.kind.value, line.period] += line.amount.minor
    return {key: minor for key, minor in book.items() if minor}


def differs(case: Case) -> bool:
    """Whether the two disagree about any line, or about the month by itself."""
    return product(case) != naive(case) or month_total(case.parts) != sum(limited(part) for part in case.parts)


def main() -> int:
    """The exit code of the command."""
    parser = argparse.ArgumentParser(prog="make rating", description=__doc__)
    parser.add_argument("--contracts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started, differences, kinds = time.monotonic(), 0, Counter[str]()
    seeds = range(options.seed, options.seed + options.contracts)
    for seed in track(seeds, description="rating", disable=options.json or not sys.stderr.isatty()):
        case = a_case(random.Random(seed))
        kinds.update(kind for kind, _ in product(case))
        if differs(case):
            differences += 1
            if differences <= SHOWN:
                sys.stderr.write(f"seed {seed}: product {product(case)}, naive {naive(case)}\n")
    figures = {
        "contracts": options.contracts,
        "differences": differences,
        "seconds": round(time.monotonic() - started, 1),
        "lines": dict(sorted(kinds.items())),
    }
    if options.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        seen = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
        sys.stdout.write(
            f"{options.contracts:,} contracts, {differences} differences, {figures['seconds']} s; lines: {seen}\n"
        )
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
