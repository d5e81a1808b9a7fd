"""
The segments of a coded file: runs of whole groups of pictures, as long as the baseline's own.

Groups are closed, so a segment can be decoded, and encoded by the baseline, without the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from narrows_metering.segments import draw_segments

from narrows.media.coded_file import CodedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentDraw:
    """How segments of a long rendition are drawn: the seed of a month, and how many are wanted."""

    period: str
    seed: bytes
    wanted: int
    rendition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Frames *first* to *last*, both included, in the order in which they are shown."""

    index: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is measured of a file: some of its segments, or all of it as one."""

    segments: tuple[Segment, ...]
    count: int  # How many segments the file has; 0 where it is measured as a whole.

    @property
    def is_whole(self) -> bool:
        """Whether every frame is measured."""
        return self.count == 0

    @property
    def frame_count(self) -> int:
        """How many frames are measured."""
        return sum(segment.last - segment.first + 1 for segment in self.segments)

    def frames(self) -> Iterable[int]:
        """The numbers of the measured frames."""
        for segment in self.segments:
            yield from range(segment.first, segment.last + 1)


def select(coded: CodedFile, frames_min: int, draw: SegmentDraw | None) -> Selection:
    """
    The segments of at least *frames_min* frames that *draw* gives; all of the file without a draw, or if it has no more
    segments than are wanted.
    """
    whole = Segment(index=0, first=0, last=coded.frame_count - 1)
    if draw is None:
        return Selection(segments=(whole,), count=0)
    cut = cut_segments([n for n, packet in enumerate(coded.packets()) if packet.is_key], whole.last + 1, frames_min)
    if len(cut) <= draw.wanted:
        return Selection(segments=(whole,), count=0)
    drawn = draw_segments(draw.seed, draw.rendition, count=len(cut), wanted=draw.wanted)
    return Selection(segments=tuple(cut[index] for index in drawn), count=len(cut))


def cut_segments(key_frames: Iterable[int], frame_count: int, frames_min: int) -> list[Segment]:
    """
    Runs of whole groups, each of at least *frames_min* frames; what is left at the end belongs to the last.

    >>> [(one.first, one.last) for one in cut_segments([0, 100, 200, 300, 400], 450, 150)]
    [(0, 199), (200, 449)]
    """
    starts = [0]
    for frame in key_frames:
        if frame - starts[-1] >= frames_min and frame_count - frame >= frames_min:
            starts.append(frame)
    ends = [start - 1 for start in starts[1:]] + [frame_count - 1]
    return [
        Segment(index=index, first=first, last=last)
        for index, (first, last) in enumerate(zip(starts, ends, strict=True))
    ]
