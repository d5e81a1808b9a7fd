"""
Which assets of a month are measured, so that nobody can pick them.

The largest, until they carry at least half of all bytes, always are: the certainty stratum. Of the rest a random tail
is drawn, each asset with a probability in proportion to its bytes, by a seed that follows from the contract, the month
and the root of the ledger: known to nobody before the last delivery is recorded, and to everybody afterwards.

Systematic sampling with probability proportional to size: Cochran, Sampling Techniques (1977), §9A.5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

TAIL_COUNT: Final = 200
_DOMAIN: Final = b"narrows-sample/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What is to be measured of a population of assets."""

    certainty: tuple[str, ...]  # By delivered bytes, most first.
    tail: tuple[str, ...]  # In the order in which they were drawn.
    tail_population: int  # How many assets the tail was drawn from.
    certainty_bytes: int
    tail_bytes: int  # Of all assets outside the certainty stratum, drawn or not.


def sample_seed(*, contract_hash: str, period: str, ledger_root: str) -> bytes:
    """The seed of a month's draw: SHA-256 over contract, period and root, each with its length."""
    digest = hashlib.sha256(_DOMAIN)
    for part in (contract_hash.encode(), period.encode(), ledger_root.encode()):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


def shuffled(names: Iterable[str], seed: bytes) -> list[str]:
    """*names* in the order of their hashes under *seed*: the same for everybody, and foreseen by nobody."""
    return sorted(names, key=lambda name: hashlib.sha256(seed + name.encode()).digest())


def draw(delivered_bytes: Mapping[str, int], seed: bytes, *, tail_count: int = TAIL_COUNT) -> Sample:
    """
    Draw from all assets that were delivered, by their bytes.

    >>> sample = draw({"a": 60, "b": 30, "c": 10}, b"seed", tail_count=1)
    >>> sample.certainty, len(sample.tail), sample.tail_population
    (('a',), 1, 2)
    """
    ranked = sorted(delivered_bytes, key=lambda asset: (-delivered_bytes[asset], asset))
    rest, count = sum(delivered_bytes.values()), 0
    total = rest
    # An asset as large as a whole step of the draw would be drawn anyway, so it is certain.
    while count < len(ranked) and (2 * rest > total or tail_count * delivered_bytes[ranked[count]] >= rest):
        rest -= delivered_bytes[ranked[count]]
        count += 1
    # A tail of which nearly everything would be drawn is better measured as a whole: then nothing is estimated.
    if len(ranked) - count <= tail_count:
        count, rest = len(ranked), 0
    return Sample(
        certainty=tuple(ranked[:count]),
        tail=_systematic(ranked[count:], delivered_bytes, seed, tail_count),
        tail_population=len(ranked) - count,
        certainty_bytes=total - rest,
        tail_bytes=rest,
    )


def _systematic(names: list[str], size: Mapping[str, int], seed: bytes, count: int) -> tuple[str, ...]:
    """Walk along the shuffled *names*, each as long as its size, and take one at every step from a random start."""
    step = sum(size[name] for name in names)  # In units of 1 ⁄ count of a byte, so that everything is whole.
    if not step:
        return ()
    reached, drawn = 0, []
    wanted = int.from_bytes(hashlib.sha256(seed + b"/start").digest()) % step
    for name in shuffled(names, seed):
        reached += count * size[name]
        if wanted < reached:
            drawn.append(name)
            wanted += step
    return tuple(drawn)
