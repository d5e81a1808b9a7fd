"""
Coded packets into files: Matroska, MP4 and fragmented MP4, with what travels beside the video.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

import av
import av.container

from narrows.codec.bitstream import Configuration
from narrows.errors import VideoError
from narrows.media import matroska
from narrows.media.carried import CarriedTracks
from narrows.media.description import Description
from narrows.media.mp4_writing import FragmentStream, finish_file
from narrows.media.raw import describe
from narrows.media.unfinished import UnfinishedFile
from narrows.media.video import translated

_TICK_MAX = Fraction(1, 1000)
_TIMESCALE_MAX = 10**7
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof+delay_moov+skip_trailer"}


class Container(StrEnum):
    """What a coded file can be."""

    MATROSKA = "matroska"
    MP4 = "mp4"
    FRAGMENTED_MP4 = "fragmented_mp4"


def container_of(target: Path, *, is_fragmented: bool = False) -> Container:
    """The container that the name of *target* asks for; raises VideoError when it asks for none of ours."""
    suffix = target.suffix.lower()
    if suffix == ".mkv" and not is_fragmented:
        return Container.MATROSKA
    if suffix == ".mp4":
        return Container.FRAGMENTED_MP4 if is_fragmented else Container.MP4
    if suffix == ".mkv":
        raise VideoError(f"can't write {target}: only MP4 is fragmented, so the name has to end in .mp4")
    raise VideoError(f"can't write {target}: coded files are Matroska or MP4, so the name has to end in .mkv or .mp4")


class PacketTarget:
    """
    A coded file being written; complete under its name after `finish`, or not there.

    *configuration* is what is known at the start: a fragmented file can't be told the number of its frames later.
    *source* gives the audio and whatever else travels along; *start* is its time zero. *is_open_ended* says that
    readers of a fragmented file may stop after any fragment.
    """

    def __init__(
        self,
        path: Path,
        *,
        container: Container,
        configuration: Configuration,
        description: Description,
        frame_rate: Fraction,
        time_base: Fraction | None = None,
        source: Path | None = None,
        start: Fraction = Fraction(0),
        is_open_ended: bool = False,
    ) -> None:
        self._is_open_ended = is_open_ended
        self._kind, self._description = container, description
        self._unfinished = UnfinishedFile(path)
        self._muxed = self._unfinished.path
        if container is Container.MP4:
            self._muxed = self._muxed.with_suffix(".muxed.partial")
        self._time_base = _time_base(container, time_base, frame_rate)
        self._frame_duration = 1 / frame_rate
        self._durations: set[Fraction] = set()
        self._shown_last: Fraction | None = None
        self._carried: CarriedTracks | None = None
        self._stream_out: FragmentStream | None = None
        self._files: list[Callable[[], object]] = []
        with translated(f"can't write {path}"):
            self._container = self._open(configuration)
            self._video = self._container.add_stream("ffv1", rate=frame_rate, time_base=self._time_base)
            describe(self._video, description)
            if container is Container.MATROSKA:
                self._video.metadata["title"] = matroska.placeholder_name()
            if source is not None:
                self._carried = CarriedTracks(source, self._container, start=start)
            self._container.start_encoding()

    def _open(self, configuration: Configuration) -> av.container.OutputContainer:
        if self._kind is Container.MATROSKA:
            return av.open(str(self._muxed), "w", format="matroska")
        if self._kind is Container.MP4:
            return av.open(str(self._muxed), "w", format="mp4")
        file = self._muxed.open("wb")
        self._files.append(file.close)
        self._stream_out = FragmentStream(
            file.write,
            configuration.to_bytes(),
            self._description.colour,
            is_open_ended=self._is_open_ended,
        )
        return av.open(self._stream_out, "w", format="mp4", options=_FRAGMENTED)

    @property
    def notices(self) -> list[str]:
        """What does not travel along."""
        return self._carried.notices if self._carried else []

    def write(
        self, data: bytes, *, shown: Fraction, coded: Fraction, is_key: bool, duration: Fraction | None = None
    ) -> None:
        """
        Write the next packet in coding order, to be shown at *shown* for *duration*.

        *coded* rises from packet to packet, is no later than *shown*, and may begin below zero.
        """
        packet = av.Packet(data)
        if self._kind is Container.MATROSKA:
            coded = max(Fraction(0), coded)  # Not written; only the order counts.
        packet.pts, packet.dts = round(shown / self._time_base), round(coded / self._time_base)
        packet.duration = round((duration or self._frame_duration) / self._time_base)
        packet.time_base = self._time_base
        packet.is_keyframe = is_key
        packet.stream = self._video
        with translated(f"can't write {self._unfinished.target}"):
            self._container.mux(packet)
            if self._carried:
                self._carried.write(until=coded)

    def finish(self, configuration: Configuration, *, has_one_rate: bool = True) -> None:
        """Complete the file and put it in its place; *has_one_rate* says that all frames are shown equally long."""
        with translated(f"can't write {self._unfinished.target}"):
            if self._carried:
                self._carried.write()
            self._close()
            if self._kind is Container.MATROSKA:
                matroska.brand_track(
                    self._muxed, configuration.to_bytes(), self._description, has_one_rate=has_one_rate
                )
            if self._kind is Container.MP4:
                finish_file(self._muxed, self._unfinished.path, configuration.to_bytes(), self._description.colour)
                self._muxed.unlink()
            self._unfinished.finish()

    def discard(self) -> None:
        """Give up: close and remove what was written."""
        try:
            self._close()
        except (av.error.FFmpegError, OSError, ValueError):
            pass  # A full disk can't take the end of a file that goes anyway.
        finally:
            self._muxed.unlink(missing_ok=True)
            self._unfinished.discard()

    def _close(self) -> None:
        try:
            self._container.close()
            if self._stream_out is not None:
                self._stream_out.finish()
        finally:
            while self._files:
                self._files.pop()()
            if self._carried:
                self._carried.close()


def _time_base(container: Container, wanted: Fraction | None, frame_rate: Fraction) -> Fraction:
    """A unit in which the source's times are whole numbers: Matroska has milliseconds, MP4 what it is told."""
    if container is Container.MATROSKA:
        return Fraction(1, 1000)
    unit = wanted or 1 / frame_rate
    if unit.denominator > _TIMESCALE_MAX:
        return Fraction(1, 90_000)
    return Fraction(1, unit.denominator)
