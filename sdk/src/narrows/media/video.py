"""
Sources: any video that FFmpeg reads, as timed pictures of 8-bit 4:2:0.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.container
import av.error
from av.stream import Disposition

from narrows.errors import NarrowsError, VideoError
from narrows.media.description import (
    BT709,
    RANGE_FULL,
    RANGE_LIMITED,
    UNSPECIFIED,
    Colour,
    Description,
    Matrix,
    matrix_from_bytes,
)
from narrows.media.frames import Notify, to_picture
from narrows.media.picture import Picture

_RATE_DEFAULT = Fraction(25)
_FFMPEG_RANGES = {1: RANGE_LIMITED, 2: RANGE_FULL}
_CODE_POINTS = range(1, 256)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Map what PyAV and the operating system raise to VideoError, naming what was being done."""
    try:
        yield
    except NarrowsError:
        raise
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{doing}: {error}") from error


@dataclass(frozen=True, slots=True)
class TimedPicture:
    """A picture, when it is shown in seconds from the first, and for how long if the source says so."""

    picture: Picture
    time: Fraction
    duration: Fraction | None = None


class Source:
    """
    A video file opened for reading; a context manager.

    *notices* gathers what was done to the pictures that a caller should know, each once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notices: list[str] = []
        self.start = Fraction(0)
        """When the first picture is shown, on the clock of the file."""
        with translated(f"can't read {path}"):
            self._container: av.container.InputContainer = av.open(str(path), "r", metadata_errors="replace")
        streams = [s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic]
        context: av.VideoCodecContext | None = streams[0].codec_context if streams else None
        if context is None:
            self._container.close()
            raise VideoError(f"can't read {path}: it has no video" + (" that FFmpeg can decode" if streams else ""))
        self._stream = streams[0]
        self._stream.thread_type = "AUTO"
        self._first: av.VideoFrame | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second on average."""
        return self._stream.average_rate or self._stream.guessed_rate or _RATE_DEFAULT

    @property
    def time_base(self) -> Fraction:
        """The unit of the file's timestamps, in seconds."""
        return self._stream.time_base or 1 / self.frame_rate

    @property
    def frame_count_estimate(self) -> int | None:
        """What the container says, for progress bars only."""
        if self._stream.frames:
            return self._stream.frames
        if self._container.duration:
            return round(self._container.duration * self.frame_rate / av.time_base)
        return None

    @property
    def description(self) -> Description:
        """How the pictures are to be shown; known once the first was read."""
        frame = self._first
        assert frame is not None, "the first picture tells"
        return Description(
            width=frame.width,
            height=frame.height,
            colour=_colour(frame),
            pixel_aspect=self._stream.sample_aspect_ratio or Fraction(1),
            display_matrix=_display_matrix(frame),
        )

    def pictures(self, notify: Notify | None = None) -> Iterator[TimedPicture]:
        """
        All pictures in display order; times start at zero and rise.

        Raises VideoError for what can't be shown right, and where the size changes.
        """
        tell = notify or self._notice
        last: Fraction | None = None
        with translated(f"can't decode {self.path}"):
            for index, frame in enumerate(self._container.decode(self._stream)):
                if self._first is None:
                    self._first = frame
                self._check_size(frame, index)
                shown = index / self.frame_rate
                if frame.pts is not None and frame.time_base is not None:
                    shown = frame.pts * frame.time_base
                if last is None:
                    self.start = Fraction(shown)
                elif shown <= last:
                    tell("frames with the time of another before them are shown one tick later")
                    shown = last + self.time_base
                last = shown
                duration = frame.duration * frame.time_base if frame.duration and frame.time_base else None
                yield TimedPicture(to_picture(frame, tell), Fraction(shown - self.start), duration)

    def _check_size(self, frame: av.VideoFrame, index: int) -> None:
        first = self._first
        if first is not None and (frame.width, frame.height) != (first.width, first.height):
            raise VideoError(
                f"{self.path} changes from {first.width}×{first.height} to {frame.width}×{frame.height} at frame "
                f"{index}; scale it to one size first, or cut it there"
            )

    def _notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)


def _colour(frame: av.VideoFrame) -> Colour:
    """What the frame says of its colours, or what `frames.to_picture` makes of RGB."""
    primaries, transfer = (
        code if code in _CODE_POINTS else UNSPECIFIED for code in (frame.color_primaries, frame.color_trc)
    )
    if frame.format.is_rgb:
        return Colour(primaries=primaries, transfer=transfer, matrix=BT709, range=RANGE_LIMITED)
    is_full = frame.color_range == RANGE_FULL or frame.format.name.startswith("yuvj")
    return Colour(
        primaries=primaries,
        transfer=transfer,
        matrix=frame.colorspace if frame.colorspace in _CODE_POINTS else UNSPECIFIED,
        range=RANGE_FULL if is_full else _FFMPEG_RANGES.get(frame.color_range, 0),
    )


def _display_matrix(frame: av.VideoFrame) -> Matrix | None:
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    return None if data is None else matrix_from_bytes(bytes(data))
