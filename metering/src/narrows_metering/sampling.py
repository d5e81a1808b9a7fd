"""
Which assets of a month are measured, so that nobody can pick them.

Those as large as a step of the draw always are: the certainty stratum. Of the rest a random tail is drawn, each asset
with a probability in proportion to its bytes, by a seed that follows from the contract, the month and the root of the
ledger: known to nobody before the last delivery is recorded, and to everybody afterwards.

The tail is stratified by what the encode records say of every asset for nothing: its content class, and how many bits a
pixel took. Assets that are alike stand together in the draw, so every stratum gets its part of it.

Systematic sampling with probability proportional to size: Cochran, Sampling Techniques (1977), §9A.5; proportional
allocation to strata: §5.6.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SAMPLE_COUNT: Final = 400
BANDS_MAX: Final = 10  # Of bits a pixel in one content class.
STRATUM_DRAWS_MIN: Final = 20  # A stratum with fewer would not know its own spread.
_TAIL_DRAWS_MIN: Final = 2
_DOMAIN: Final = b"narrows-sample/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is known of an asset before it is measured."""

    content_class: str = ""
    bits_per_pixel_ppm: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Assets that are alike, and those of them that were drawn."""

    name: str
    population: int
    bytes: int
    drawn: tuple[str, ...]  # In the order in which they were drawn.


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What is to be measured of a population of assets."""

    certainty: tuple[str, ...]  # By delivered bytes, most first.
    certainty_bytes: int
    strata: tuple[Stratum, ...]  # Of all other assets; none if there are no others.
    sizes: Mapping[str, int]  # The bytes by which each asset in the sample was drawn.

    @property
    def tail(self) -> tuple[str, ...]:
        """All that was drawn at random."""
        return tuple(name for stratum in self.strata for name in stratum.drawn)

    @property
    def tail_bytes(self) -> int:
        """Of all assets outside the certainty stratum, drawn or not."""
        return sum(stratum.bytes for stratum in self.strata)

    @property
    def tail_population(self) -> int:
        """How many assets the tail was drawn from."""
        return sum(stratum.population for stratum in self.strata)


def sample_seed(*, contract_hash: str, period: str, ledger_root: str) -> bytes:
    """The seed of a month's draw: SHA-256 over contract, period and root, each with its length."""
    digest = hashlib.sha256(_DOMAIN)
    for part in (contract_hash.encode(), period.encode(), ledger_root.encode()):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


def shuffled(names: Iterable[str], seed: bytes) -> list[str]:
    """*names* in the order of their hashes under *seed*: the same for everybody, and foreseen by nobody."""
    return sorted(names, key=lambda name: hashlib.sha256(seed + name.encode()).digest())


def draw(
    delivered_bytes: Mapping[str, int],
    seed: bytes,
    *,
    count: int = SAMPLE_COUNT,
    traits: Mapping[str, Traits] | None = None,
) -> Sample:
    """
    Draw *count* of all assets that were delivered, by their bytes; a few more if nearly all bytes are those of a few.

    *traits* form the strata of the tail; an asset that they lack has none. A population of *count* is taken whole.

    >>> sample = draw({"a": 60, "b": 20, "c": 15, "d": 5}, b"seed", count=3)
    >>> sample.certainty, len(sample.tail), sample.tail_population
    (('a',), 2, 3)
    """
    ranked = sorted(delivered_bytes, key=lambda asset: (-delivered_bytes[asset], asset))
    rest, certain = sum(delivered_bytes.values()), 0
    total = rest
    # An asset as large as a whole step of the draw would be drawn anyway, so it is certain.
    while certain < len(ranked) and max(_TAIL_DRAWS_MIN, count - certain) * delivered_bytes[ranked[certain]] >= rest:
        rest -= delivered_bytes[ranked[certain]]
        certain += 1
    if len(ranked) <= count:
        certain, rest = len(ranked), 0
    draws = max(_TAIL_DRAWS_MIN, count - certain)
    groups = _groups(ranked[certain:], delivered_bytes, traits or {}, draws)
    order = [name for _, names in groups for name in shuffled(names, seed)]
    drawn = _systematic(order, delivered_bytes, seed, draws)
    strata = tuple(
        Stratum(
            name=group,
            population=len(names),
            bytes=sum(delivered_bytes[name] for name in names),
            drawn=tuple(name for name in drawn if name in members),
        )
        for group, names in groups
        if (members := set(names))
    )
    chosen = [*ranked[:certain], *drawn]
    return Sample(
        certainty=tuple(ranked[:certain]),
        certainty_bytes=total - rest,
        strata=strata,
        sizes={name: delivered_bytes[name] for name in chosen},
    )


def _groups(
    names: Sequence[str], size: Mapping[str, int], traits: Mapping[str, Traits], draws: int
) -> list[tuple[str, list[str]]]:
    """*names* by content class, and within a class by bits a pixel, as finely as *draws* allows."""
    total = sum(size[name] for name in names)
    if not total:
        return []
    nothing = Traits()
    by_class: dict[str, list[str]] = {}
    for name in names:
        by_class.setdefault(traits.get(name, nothing).content_class, []).append(name)
    # A class of which too few would be drawn joins the next one, and the last of them the one before.
    merged: list[tuple[list[str], list[str]]] = []
    for label in sorted(by_class):
        if merged and _draws(merged[-1][1], size, draws, total) < STRATUM_DRAWS_MIN:
            merged[-1][0].append(label)
            merged[-1][1].extend(by_class[label])
        else:
            merged.append(([label], by_class[label]))
    if len(merged) > 1 and _draws(merged[-1][1], size, draws, total) < STRATUM_DRAWS_MIN:
        labels, members = merged.pop()
        merged[-1][0].extend(labels)
        merged[-1][1].extend(members)
    groups = []
    for labels, members in merged:
        bands = max(1, min(BANDS_MAX, _draws(members, size, draws, total) // STRATUM_DRAWS_MIN))
        members.sort(key=lambda name: (traits.get(name, nothing).bits_per_pixel_ppm, name))
        for number, band in enumerate(_bands(members, size, bands), 1):
            groups.append((f"{' + '.join(labels)} {number}/{bands}".strip(), band))
    return groups


def _draws(names: Sequence[str], size: Mapping[str, int], draws: int, total: int) -> int:
    return draws * sum(size[name] for name in names) // total


def _bands(names: Sequence[str], size: Mapping[str, int], count: int) -> list[list[str]]:
    """*names* cut into *count* runs of about equal size."""
    total, reached = sum(size[name] for name in names), 0
    bands: list[list[str]] = [[] for _ in range(count)]
    for name in names:
        bands[min(count - 1, count * reached // total)].append(name)
        reached += size[name]
    return bands


def _systematic(names: Sequence[str], size: Mapping[str, int], seed: bytes, count: int) -> list[str]:
    """Walk along *names*, each as long as its size, and take one at every step from a random start."""
    step = sum(size[name] for name in names)  # In units of 1 ⁄ count of a byte, so that everything is whole.
    if not step:
        return []
    reached, drawn = 0, []
    wanted = int.from_bytes(hashlib.sha256(seed + b"/start").digest()) % step
    for name in names:
        reached += count * size[name]
        if wanted < reached:
            drawn.append(name)
            wanted += step
    return drawn
