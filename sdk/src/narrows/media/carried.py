"""
What travels beside the video: audio, subtitles, attachments, chapters and metadata, none of it coded again.

What a container can't hold is left out with a notice, never in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.container
import av.error
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition

from narrows.errors import VideoError

if TYPE_CHECKING:
    from av.container.core import Chapter

_OF_THE_FILE = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration"}
"""Tags that say how a file was made, not what is in it."""
_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
_STATISTICS = ("BPS", "NUMBER_OF_", "_STATISTICS_", "DURATION")


class CarriedTracks:
    """
    The tracks of *source* that are not video, copied into *container* as time goes on.

    *start* is what the container calls zero, on the source's clock. Who makes one calls `close`.
    """

    def __init__(self, source: Path, container: av.container.OutputContainer, *, start: Fraction) -> None:
        self.notices: list[str] = []
        self._path, self._container, self._start = source, container, start
        self._source = av.open(str(source), "r", metadata_errors="replace")
        self._streams: dict[int, av.stream.Stream] = {}
        self._filters: dict[int, BitStreamFilterContext] = {}
        self._ahead: av.Packet[Any] | None = None
        container.metadata.update(_told(self._source.metadata))
        self._carry_chapters()
        for stream in self._source.streams:
            self._carry(stream)
        self._packets = self._read()

    def _carry_chapters(self) -> None:
        chapters = [_shifted(chapter, self._start) for chapter in self._source.chapters()]
        if chapters:
            self._container.set_chapters([c for c in chapters if c["end"] > c["start"]])

    def _carry(self, stream: av.stream.Stream) -> None:
        if stream.type == "video" and not stream.disposition & Disposition.attached_pic:
            return
        what = f"{stream.type} track {stream.index}"
        if stream.type not in ("audio", "subtitle", "attachment"):
            self.notices.append(f"{what} is not carried along: only audio, subtitles and attachments are")
            return
        context: av.CodecContext | None = stream.codec_context  # None where FFmpeg knows none; its stubs say never.
        codec = context.name if context is not None else "of an unknown codec"
        if stream.type != "attachment" and context is None:
            self.notices.append(f"{what} is not carried along: it is {codec}")
            return
        if stream.type == "attachment" and "matroska" not in self._container.format.name:
            self.notices.append(f"{what} is not carried along: only Matroska holds attachments")
            return
        if not _fits(self._path, stream, self._container.format.name):
            kind = "Matroska" if "matroska" in self._container.format.name else "MP4"
            self.notices.append(f"{what} ({codec}) is not carried along: {kind} can't hold it")
            return
        copy = _copied(self._container, stream)
        copy.metadata.update(_told(stream.metadata))
        copy.disposition = stream.disposition
        if stream.type != "attachment":
            self._streams[stream.index] = copy
        if codec == "aac" and context is not None and not context.extradata:
            # As in MPEG-TS. FFmpeg would put this filter in by itself, but too late for a fragmented file.
            self._filters[stream.index] = BitStreamFilterContext("aac_adtstoasc", stream)

    def _read(self) -> Iterator[av.Packet[Any]]:
        if not self._streams:
            return
        for packet in self._source.demux([self._source.streams[i] for i in self._streams]):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            shift = round(self._start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            index = packet.stream.index
            for ready in self._filters[index].filter(packet) if index in self._filters else [packet]:
                ready.stream = self._streams[index]
                yield ready

    def write(self, until: Fraction | None = None) -> None:
        """Copy what is due before *until*, everything without it."""
        while True:
            packet = self._ahead or next(self._packets, None)
            self._ahead = None
            if packet is None:
                return
            if until is not None and packet.dts is not None and packet.dts * packet.time_base > until:
                self._ahead = packet
                return
            self._container.mux(packet)

    def close(self) -> None:
        self._source.close()


def _copied(container: av.container.OutputContainer, stream: av.stream.Stream) -> av.stream.Stream:
    """A track of *container* like *stream*; channels in no stated order are in the usual one."""
    copy = container.add_stream_from_template(stream)
    if isinstance(copy, av.AudioStream):
        layout = copy.codec_context.layout
        if layout.name.endswith("channels") and layout.nb_channels in _USUAL_LAYOUTS:
            copy.codec_context.layout = _USUAL_LAYOUTS[layout.nb_channels]
    return copy


def _fits(path: Path, stream: av.stream.Stream, format_name: str) -> bool:
    """
    Whether the container takes *stream* and its first packet.

    Tried on a file in memory: some muxers say no only at the end, when all the work is done.
    """
    try:
        with (
            av.open(str(path), "r", metadata_errors="replace") as source,
            av.open(BytesIO(), "w", format=format_name) as container,
        ):
            template = source.streams[stream.index]
            copy = _copied(container, template)
            if stream.type == "attachment":
                return True
            packet = next((p for p in source.demux(template) if p.dts is not None), None)
            if packet is not None:
                packet.stream = copy
                container.mux(packet)
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def _told(metadata: dict[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in metadata.items()
        if name.lower() not in _OF_THE_FILE and not name.upper().startswith(_STATISTICS)
    }


def _shifted(chapter: Chapter, start: Fraction) -> Chapter:
    base = chapter["time_base"]
    if base is None:
        raise VideoError(f"chapter {chapter['id']} has no unit of time")
    shift = round(start / base)
    return {
        "id": chapter["id"],
        "start": max(0, chapter["start"] - shift),
        "end": max(0, chapter["end"] - shift),
        "time_base": base,
        "metadata": chapter["metadata"],
    }
