"""
Video in and out through PyAV; the only importer of `av` besides the baseline.

Reads any source that FFmpeg reads as 8-bit 4:2:0 pictures, writes Y4M, and muxes coded packets with the source's audio
into Matroska.
"""

from __future__ import annotations

import os
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
import av.video.plane
import numpy as np

from narrows.codec.bitstream import CONFIGURATION_BYTES, Configuration
from narrows.errors import CorruptBitstream, NarrowsError, VideoError
from narrows.media import matroska
from narrows.media.picture import Picture, Plane

_PIXEL_FORMAT = "yuv420p"
_FULL_RANGE_FORMATS = ("yuvj420p",)
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


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
    """A picture and when it is shown, in seconds from the start."""

    picture: Picture
    time: Fraction


def _plane(plane: av.video.plane.VideoPlane) -> Plane:
    rows: Plane = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
    return rows.copy()  # FFmpeg reuses its buffers.


def to_picture(frame: av.VideoFrame) -> Picture:
    """Any 8-bit SDR frame as 4:2:0; odd sizes keep their size."""
    if frame.color_trc in _HDR_TRANSFERS:
        raise VideoError(f"HDR ({_HDR_TRANSFERS[frame.color_trc]}) is not supported yet; tone-map the source to SDR")
    if frame.format.name not in (_PIXEL_FORMAT, *_FULL_RANGE_FORMATS):
        frame = frame.reformat(format=_PIXEL_FORMAT)
    luma, cb, cr = (_plane(p) for p in frame.planes)
    return Picture(luma=luma, cb=cb, cr=cr)


def to_frame(picture: Picture) -> av.VideoFrame:
    frame = av.VideoFrame(picture.width, picture.height, _PIXEL_FORMAT)
    for plane, samples in zip(frame.planes, (picture.luma, picture.cb, picture.cr), strict=True):
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : samples.shape[1]] = samples
        plane.update(padded.tobytes())
    return frame


class Source:
    """A video file opened for reading; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with translated(f"can't read {path}"):
            self._container: av.container.InputContainer = av.open(str(path))
        if not self._container.streams.video:
            self._container.close()
            raise VideoError(f"can't read {path}: it has no video")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    @property
    def frame_rate(self) -> Fraction:
        return self._stream.average_rate or self._stream.guessed_rate or Fraction(25)

    @property
    def frame_count_estimate(self) -> int | None:
        """What the container says, for progress bars only."""
        if self._stream.frames:
            return self._stream.frames
        if self._container.duration:
            return round(self._container.duration * self.frame_rate / av.time_base)
        return None

    def pictures(self) -> Iterator[TimedPicture]:
        """All pictures in display order; times start at zero."""
        first: Fraction | None = None
        with translated(f"can't decode {self.path}"):
            for index, frame in enumerate(self._container.decode(self._stream)):
                shown = index / self.frame_rate
                if frame.pts is not None and frame.time_base is not None:
                    shown = frame.pts * frame.time_base
                first = shown if first is None else first
                yield TimedPicture(to_picture(frame), Fraction(shown - first))


class PacketTarget:
    """
    A Matroska file being written: our packets as `V_NARROWS` and the source's audio beside them.

    The file appears under its name when it is complete; until then it is `NAME.partial`.
    """

    def __init__(self, path: Path, *, source: Path | None, frame_rate: Fraction, width: int, height: int) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._time_base = Fraction(1, 1000)
        self._source: av.container.InputContainer | None = None
        with translated(f"can't write {path}"):
            self._container = av.open(str(self._partial), "w", format="matroska")
            self._video = self._container.add_mux_stream(
                matroska.PLACEHOLDER_CODEC, rate=frame_rate, width=width, height=height, time_base=self._time_base
            )
            self._video.metadata["title"] = matroska.placeholder_name(CONFIGURATION_BYTES)
            self._audio = self._copied_audio(source)

    def _copied_audio(self, source: Path | None) -> Iterator[av.Packet[Any]]:
        """The audio packets of *source*, ready to mux, in order; shifted as the video was."""
        if source is None:
            return iter(())
        self._source = av.open(str(source))
        streams = {s.index: self._container.add_stream_from_template(s) for s in self._source.streams.audio}
        if not streams:
            return iter(())
        video = self._source.streams.video[0]
        start = Fraction(0)
        if video.start_time is not None and video.time_base is not None:
            start = video.start_time * video.time_base

        def packets(container: av.container.InputContainer) -> Iterator[av.Packet[Any]]:
            for packet in container.demux(*container.streams.audio):
                if packet.dts is None or packet.pts is None or packet.time_base is None:
                    continue
                shift = round(start / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = streams[packet.stream.index]
                yield packet

        return packets(self._source)

    def write(self, data: bytes, *, shown: Fraction, coded: Fraction, is_key: bool) -> None:
        """Write the next packet in coding order; *shown* is its own time, *coded* never decreases and is no later."""
        packet = av.Packet(data)
        packet.pts, packet.dts = round(shown / self._time_base), round(coded / self._time_base)
        packet.time_base = self._time_base
        packet.is_keyframe = is_key
        packet.stream = self._video
        with translated(f"can't write {self._path}"):
            self._container.mux(packet)
            self._write_audio(until=coded)

    def _write_audio(self, until: Fraction | None) -> None:
        for packet in self._audio:
            self._container.mux(packet)
            if (
                until is not None
                and packet.dts is not None
                and packet.time_base
                and packet.dts * packet.time_base > until
            ):
                return

    def finish(self, configuration: Configuration) -> None:
        """Complete the file and put it in its place."""
        with translated(f"can't write {self._path}"):
            self._write_audio(until=None)
            self._close()
            matroska.rename_track(self._partial, configuration.to_bytes())
            with self._partial.open("rb") as file:
                os.fsync(file.fileno())
            self._partial.replace(self._path)

    def discard(self) -> None:
        """Give up: close and remove what was written."""
        self._close()
        self._partial.unlink(missing_ok=True)

    def _close(self) -> None:
        self._container.close()
        if self._source is not None:
            self._source.close()


@dataclass(frozen=True, slots=True)
class CodedFile:
    """A file of ours, checked as a whole."""

    path: Path
    configuration: Configuration

    @classmethod
    def open(cls, path: Path) -> CodedFile:
        """Check every part of *path*; raises BitstreamError that says where it is damaged."""
        with translated(f"can't read {path}"):
            matroska.check_file(path)
            return cls(path, Configuration.from_bytes(matroska.read_codec_private(path)))

    @contextmanager
    def _opened(self) -> Iterator[av.container.InputContainer]:
        """The file in PyAV; what FFmpeg can't read of a checked file is damage where no checksum is."""
        try:
            with av.open(str(self.path)) as container:
                yield container
        except av.error.FFmpegError as error:
            raise CorruptBitstream(f"FFmpeg can't read the container: {error.strerror}", byte_offset=0) from error

    @property
    def frame_rate(self) -> Fraction:
        with self._opened() as container:
            stream = container.streams.video[0]
            return stream.average_rate or stream.guessed_rate or Fraction(25)

    def packets(self) -> Iterator[TimedPacket]:
        """The packets of the `V_NARROWS` track in order; raises CorruptBitstream at the end if some are missing."""
        count = 0
        with self._opened() as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size:
                    count += 1
                    time = (packet.pts or 0) * (packet.time_base or Fraction(1, 1000))
                    yield TimedPacket(bytes(packet), Fraction(time))
        if count != self.configuration.frame_count:
            raise CorruptBitstream(
                f"the file holds {count} of {self.configuration.frame_count} frames",
                byte_offset=self.path.stat().st_size,
            )


@dataclass(frozen=True, slots=True)
class TimedPacket:
    """A coded packet of a file and when it is shown, in seconds."""

    data: bytes
    time: Fraction


class Y4MTarget:
    """Uncompressed YUV4MPEG2 of 8-bit 4:2:0, written picture by picture; complete under its name, or not there."""

    def __init__(self, path: Path, *, width: int, height: int, frame_rate: Fraction) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        rate = frame_rate.limit_denominator(1_000_000)
        with translated(f"can't write {path}"):
            self._file = self._partial.open("wb")
            header = f"YUV4MPEG2 W{width} H{height} F{rate.numerator}:{rate.denominator} Ip A1:1 C420jpeg\n"
            self._file.write(header.encode())

    def write(self, picture: Picture) -> None:
        with translated(f"can't write {self._path}"):
            self._file.write(b"FRAME\n" + picture.to_bytes())

    def finish(self) -> None:
        with translated(f"can't write {self._path}"):
            self._file.close()
            self._partial.replace(self._path)

    def discard(self) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)
