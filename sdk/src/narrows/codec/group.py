"""
Hierarchical groups of pictures: which frame is coded when, and from which others.

A group follows an anchor that is coded already. Its last frame is the next anchor and predicts from the one before; the
frames between are halved again and again, each predicting from the two that enclose it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from narrows.codec.condition import DISTANCE_MAX

SPAN_MAX: Final = DISTANCE_MAX


@dataclass(frozen=True, slots=True)
class Place:
    """
    A frame's place in a group; positions count frames after the group's first anchor, which is 0.

    *first* and *second* are its references, the same for an anchor; *depth* is 0 for an anchor and grows inwards.
    """

    position: int
    first: int
    second: int
    depth: int

    @property
    def distance(self) -> int:
        """Frames to the nearer reference."""
        return min(abs(self.first - self.position), abs(self.second - self.position))

    @property
    def offsets(self) -> tuple[int, int]:
        return self.first - self.position, self.second - self.position

    @property
    def is_between(self) -> bool:
        return self.first < self.position < self.second


@lru_cache
def places(span: int) -> tuple[Place, ...]:
    """The frames of a group of *span* in coding order."""
    if not 1 <= span <= SPAN_MAX:
        raise ValueError(f"a group of {span} frames is outside 1..{SPAN_MAX}")
    return (Place(position=span, first=0, second=0, depth=0), *_between(0, span, 1))


def depth_of(span: int) -> int:
    """The deepest level of a group of *span* frames: its anchor's is 0."""
    return max(place.depth for place in places(span))


def _between(first: int, second: int, depth: int) -> tuple[Place, ...]:
    if second - first < 2:
        return ()
    middle = (first + second) // 2
    here = Place(position=middle, first=first, second=second, depth=depth)
    return (here, *_between(first, middle, depth + 1), *_between(middle, second, depth + 1))
