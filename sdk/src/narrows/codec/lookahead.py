"""How the encoder divides what it sees into groups: scene cuts, key frames, and how far ahead an anchor may lie."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from narrows.media.picture import Picture

SPAN = 8
_THUMBNAIL_DIVISOR = 16
_SCENE_CUT_LEVELS = 28.0
"""Mean change of the 16×16 averages above which nothing of the last frame is worth keeping."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture waiting to be coded, with its luma padded to multiples of 16."""

    picture: Picture
    luma: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Group:
    """What is to be coded next: a key frame alone, or the frames after an anchor up to the next one."""

    pictures: tuple[Seen, ...]
    is_key: bool


class Lookahead:
    """Takes pictures in display order and gives groups, as soon as each is certain."""

    def __init__(self, *, keyint: int, span: int) -> None:
        self._keyint = keyint
        self._span = span
        self._waiting: deque[Seen] = deque()
        self._last_thumbnail: NDArray[np.float64] | None = None
        self._since_key = 0

    def push(self, picture: Picture) -> list[Group]:
        luma = picture.padded_luma()
        seen = Seen(picture, luma)
        groups: list[Group] = []
        if self._starts_group(_thumbnail(luma)):
            groups += self.flush()
            groups.append(Group((seen,), is_key=True))
            self._since_key = 1
            return groups
        self._since_key += 1
        self._waiting.append(seen)
        if len(self._waiting) == self._span:
            groups += self.flush()
        return groups

    def flush(self) -> list[Group]:
        """The frames that still wait, as a shorter group."""
        if not self._waiting:
            return []
        group = Group(tuple(self._waiting), is_key=False)
        self._waiting.clear()
        return [group]

    def _starts_group(self, thumbnail: NDArray[np.float64]) -> bool:
        last, self._last_thumbnail = self._last_thumbnail, thumbnail
        if last is None or self._since_key >= self._keyint:
            return True
        return bool(np.abs(thumbnail - last).mean() >= _SCENE_CUT_LEVELS)


def _thumbnail(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    n = _THUMBNAIL_DIVISOR
    means: NDArray[np.float64] = luma.reshape(luma.shape[0] // n, n, luma.shape[1] // n, n).mean((1, 3))
    return means
