"""Pictures to packets: groups, anchors, the budget and the order of coding. Knows nothing of files or licenses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from narrows.codec.bitstream import StreamHeader
from narrows.codec.budget import RATE_DEFAULT, Budget
from narrows.codec.condition import Condition
from narrows.codec.frame_coder import Coded, CodedFrame, FrameCoder, Task
from narrows.codec.group import Place, depth_of, places
from narrows.codec.lookahead import SPAN, Group, Lookahead, Seen
from narrows.codec.pool import Pool
from narrows.codec.rate_control import offset_quality
from narrows.codec.refinement import cost
from narrows.codec.setting import Kept
from narrows.codec.weights import LoadedModel
from narrows.media.picture import Picture
from narrows.options import EncodeOptions, Preset

_DIVIDED_LEAST = 6
"""Groups of fewer frames are not divided."""
_Part = tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class _Anchor:
    """What the next group starts from: the frame, its source's luma, and its index in the stream."""

    kept: Kept
    luma: NDArray[np.uint8]
    index: int


def _without_reference(work: Callable[[], Coded]) -> Coded:
    return Coded(work().frame, None)


class FrameEncoder:
    """Codes pictures of one size, given in display order; each key frame starts a closed group of pictures."""

    def __init__(
        self,
        width: int,
        height: int,
        *,
        model: LoadedModel,
        options: EncodeOptions,
        is_development: bool,
        frame_rate: Fraction = RATE_DEFAULT,
        threads: int = 1,
    ) -> None:
        """Frames of a group that do not predict from each other are coded side by side on *threads* threads."""
        self._pool = Pool(threads)
        self._options = options
        self.budget = Budget(options, frame_rate=frame_rate, pixels=width * height)
        self._base = 0
        self._header = StreamHeader(width=width, height=height, model_id=model.model_id, is_development=is_development)
        self._coder = FrameCoder(model, options, self._header)
        span = 1 if options.low_delay else SPAN
        self._lookahead = Lookahead(keyint=options.keyint, span=span)
        self.delay = depth_of(span)
        """Frames by which coding may run ahead of display."""
        self._anchor: _Anchor | None = None
        self._order = 0

    def encode(self, picture: Picture) -> list[CodedFrame]:
        """Take one picture and code what is certain; raises ValueError when its size is not the stream's."""
        if (picture.width, picture.height) != (self._header.width, self._header.height):
            raise ValueError(
                f"a picture of {picture.width}×{picture.height} "
                f"in a stream of {self._header.width}×{self._header.height}"
            )
        return [frame for group in self._lookahead.push(picture) for frame in self._encode_within_budget(group)]

    def close(self) -> None:
        """Let the threads go; nothing can be coded after that."""
        self._pool.close()

    def flush(self) -> list[CodedFrame]:
        """Code the pictures that still wait for others."""
        return [frame for group in self._lookahead.flush() for frame in self._encode_within_budget(group)]

    def _encode_within_budget(self, group: Group) -> list[CodedFrame]:
        """Code *group* as well as the budget allows, again and worse if it turns out too large."""
        before = vars(self).copy()  # Coding a group rebinds attributes; it changes no object in place.
        while True:
            self._base = self.budget.base(len(group.pictures), is_key=group.is_key)
            frames = self._encode_group(group)
            sizes = [len(frame.data) for frame in frames]
            if self.budget.accepts(sizes, base=self._base, is_key=group.is_key):
                return frames
            vars(self).update(before)

    def _encode_group(self, group: Group) -> list[CodedFrame]:
        if group.is_key:
            (seen,) = group.pictures
            return [self._encode_key(seen)]
        return [
            frame
            for part in self._divided(group.pictures)
            for frame in self._encode_part(part, refines=self._options.preset is Preset.SLOW)
        ]

    def _encode_key(self, seen: Seen) -> CodedFrame:
        task = Task(seen.picture, 0 if self._anchor is None else self._anchor.index + 1, self._order, self._base)
        coded = self._pool.start(partial(self._coder.key, task), []).result()
        assert coded.frame is not None
        self._order += 1
        self._anchor = _Anchor(coded.kept, seen.luma, task.index)
        return coded.frame

    def _divided(self, pictures: _Part) -> tuple[_Part, ...]:
        """*pictures* as one group or as two: `slow` tries both, without refinement, and takes the better bargain."""
        if self._options.preset is not Preset.SLOW or len(pictures) < _DIVIDED_LEAST:
            return (pictures,)
        middle = len(pictures) // 2
        return min((pictures,), (pictures[:middle], pictures[middle:]), key=self._cost_of)

    def _cost_of(self, parts: tuple[_Part, ...]) -> float:
        """What coding *parts* would cost in bits and errors; leaves no trace."""
        before = self._anchor, self._order
        frames = [frame for part in parts for frame in self._encode_part(part, refines=False)]
        self._anchor, self._order = before
        condition = Condition.of_frame(offset_quality(self._base, 0), visual=self._coder.is_visual)
        with torch.no_grad():
            costs = [cost(8 * len(f.data), f.picture.to_planes(), f.source.to_planes(), condition) for f in frames]
        return sum(float(c) for c in costs)

    def _encode_part(self, pictures: _Part, *, refines: bool) -> list[CodedFrame]:
        """The *pictures* after the last anchor, of which the last becomes the next one."""
        assert self._anchor is not None
        start, span = self._anchor, len(pictures)
        lumas = [start.luma, *(seen.luma for seen in pictures)]
        begun: dict[int, Future[Coded]] = {0: Future()}
        begun[0].set_result(Coded(None, start.kept))
        wanted = {span, *(position for place in places(span) for position in (place.first, place.second))}
        for order, place in enumerate(places(span), self._order):
            needed = {p: begun[p] for p in (0, place.first, place.second)}
            task = Task(pictures[place.position - 1].picture, start.index + place.position, order, self._base)
            work = partial(self._encode_place, task, place, needed, lumas, refines)
            if place.position not in wanted:  # Half of them: not kept, as each takes 40 MB at 1920×1080.
                work = partial(_without_reference, work)
            begun[place.position] = self._pool.start(work, list(needed.values()))
        coded = [begun[place.position].result() for place in places(span)]
        self._order += span
        self._anchor = _Anchor(begun[span].result().kept, lumas[span], start.index + span)
        return [c.frame for c in coded if c.frame is not None]

    def _encode_place(
        self,
        task: Task,
        place: Place,
        needed: Mapping[int, Future[Coded]],
        lumas: list[NDArray[np.uint8]],
        refines: bool,
    ) -> Coded:
        kept = {position: future.result().kept for position, future in needed.items()}
        return self._coder.inter(task, place, kept, lumas, refines=refines)
