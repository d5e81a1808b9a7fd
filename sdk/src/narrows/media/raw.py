"""Decoded pictures as files: Y4M, and lossless FFV1 in Matroska with the sound of the coded file beside it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import av.container
import av.video.stream

from narrows.media import matroska
from narrows.media.carried import CarriedTracks
from narrows.media.description import Description
from narrows.media.frames import to_frame
from narrows.media.picture import Picture
from narrows.media.unfinished import UnfinishedFile
from narrows.media.video import translated

_Y4M_RATE_MAX = 1_000_000


class PictureTarget(Protocol):
    """Where decoded pictures go; complete under its name after `finish`, or not there."""

    def write(self, picture: Picture, time: Fraction) -> None: ...
    def finish(self) -> None: ...
    def discard(self) -> None: ...


class Y4MTarget:
    """Uncompressed YUV4MPEG2 of 8-bit 4:2:0, written picture by picture at one rate."""

    def __init__(
        self, path: Path, *, width: int, height: int, frame_rate: Fraction, pixel_aspect: Fraction = Fraction(1)
    ) -> None:
        self._unfinished = UnfinishedFile(path)
        rate, aspect = frame_rate.limit_denominator(_Y4M_RATE_MAX), pixel_aspect
        with translated(f"can't write {path}"):
            self._file = self._unfinished.path.open("wb")
            self._file.write(
                f"YUV4MPEG2 W{width} H{height} F{rate.numerator}:{rate.denominator} Ip "
                f"A{aspect.numerator}:{aspect.denominator} C420jpeg\n".encode()
            )

    def write(self, picture: Picture, time: Fraction = Fraction(0)) -> None:
        with translated(f"can't write {self._unfinished.target}"):
            self._file.write(b"FRAME\n" + picture.to_bytes())

    def finish(self) -> None:
        with translated(f"can't write {self._unfinished.target}"):
            self._file.close()
            self._unfinished.finish()

    def discard(self) -> None:
        self._file.close()
        self._unfinished.discard()


class LosslessTarget:
    """FFV1 in Matroska: times, colours, shape and turn of the pictures as they were, sound and subtitles copied."""

    _TIME_BASE = Fraction(1, 1000)

    def __init__(
        self, path: Path, *, description: Description, frame_rate: Fraction, source: Path, start: Fraction
    ) -> None:
        self._unfinished, self._description = UnfinishedFile(path), description
        self._carried: CarriedTracks | None = None
        with translated(f"can't write {path}"):
            self._container = av.open(str(self._unfinished.path), "w", format="matroska")
            self._stream = self._container.add_stream("ffv1", rate=frame_rate, time_base=self._TIME_BASE)
            describe(self._stream, description)
            self._stream.metadata["title"] = matroska.placeholder_name()
            self._carried = CarriedTracks(source, self._container, start=start)
            self._container.start_encoding()

    def write(self, picture: Picture, time: Fraction) -> None:
        frame = to_frame(picture)
        frame.pts, frame.time_base = round(time / self._TIME_BASE), self._TIME_BASE
        with translated(f"can't write {self._unfinished.target}"):
            self._container.mux(self._stream.encode(frame))
            if self._carried:
                self._carried.write(until=time)

    def finish(self) -> None:
        with translated(f"can't write {self._unfinished.target}"):
            self._container.mux(self._stream.encode(None))
            if self._carried:
                self._carried.write()
            self._close()
            matroska.shape_track(self._unfinished.path, self._description)
            self._unfinished.finish()

    def discard(self) -> None:
        self._close()
        self._unfinished.discard()

    def _close(self) -> None:
        try:
            self._container.close()
        finally:
            if self._carried:
                self._carried.close()


def describe(stream: av.video.stream.VideoStream, description: Description) -> None:
    """Tell FFmpeg's muxer what *description* says."""
    context, colour = stream.codec_context, description.colour
    stream.width, stream.height, stream.pix_fmt = description.width, description.height, "yuv420p"
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer
    context.colorspace, context.color_range = colour.matrix, colour.range
    stream.sample_aspect_ratio = description.pixel_aspect
    context.thread_count = 1
    if description.display_matrix is not None:
        stream.set_display_matrix(list(description.display_matrix))
