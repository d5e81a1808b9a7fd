"""
Coded files as they are read: checked as a whole, then packet by packet, from any time on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.error

from narrows.codec.bitstream import VERSION, Configuration, is_key_packet
from narrows.errors import CorruptBitstream
from narrows.media import matroska, mp4
from narrows.media.description import Description
from narrows.media.packets import Container
from narrows.media.video import translated

_RATE_DEFAULT = Fraction(25)


@dataclass(frozen=True, slots=True)
class TimedPacket:
    """A coded packet of a file and when its picture is shown, in seconds."""

    data: bytes
    time: Fraction

    @property
    def is_key(self) -> bool:
        return is_key_packet(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedFile:
    """
    A file of ours.

    *damage* says what is wrong with it, and is empty unless it was opened with *tolerates_damage*.
    """

    path: Path
    container: Container
    configuration: Configuration
    description: Description
    damage: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path, *, tolerates_damage: bool = False) -> CodedFile:
        """
        Check every part of *path*; raises BitstreamError that says where it is damaged.

        With *tolerates_damage* only what says how to decode has to be whole.
        """
        with translated(f"can't read {path}"):
            with path.open("rb") as file:
                head = file.read(8)
            reader = mp4 if mp4.is_mp4(head) else matroska
            damage: tuple[str, ...] = ()
            try:
                reader.check_file(path)
            except CorruptBitstream as error:
                if not tolerates_damage:
                    raise
                damage = (str(error),)
            private, description = reader.read_track(path)
            configuration = Configuration.from_bytes(private)
            kind = Container.MATROSKA
            if reader is mp4:
                kind = Container.MP4 if configuration.frame_count else Container.FRAGMENTED_MP4
            return cls(path=path, container=kind, configuration=configuration, description=description, damage=damage)

    @property
    def codecs(self) -> str:
        """Our entry in a `codecs` parameter (RFC 6381): sample entry, version, and the start of the model id."""
        return f"{mp4.SAMPLE_ENTRY.decode()}.{VERSION}.{self.configuration.header.model_id[:4].hex()}"

    @contextmanager
    def _opened(self) -> Iterator[av.container.InputContainer]:
        """The file in PyAV; what FFmpeg can't read of a checked file is damage where no checksum is."""
        try:
            with av.open(str(self.path), "r", metadata_errors="replace") as container:
                yield container
        except av.error.FFmpegError as error:
            raise CorruptBitstream(f"FFmpeg can't read the container: {error.strerror}", byte_offset=0) from error

    def _track(self, container: av.container.InputContainer) -> Any:
        """Our track: the one that FFmpeg knows no codec for."""
        for stream in container.streams.video:
            context: av.CodecContext | None = stream.codec_context
            if context is None:
                return stream
        raise CorruptBitstream("FFmpeg finds no track coded with Narrows", byte_offset=0)

    @property
    def open_configuration(self) -> Configuration:
        """The configuration without the number of frames, for parts of the file."""
        return replace(self.configuration, frame_count=0)

    @property
    def time_base(self) -> Fraction:
        """The unit of the file's times, in seconds."""
        with self._opened() as container:
            return Fraction(self._track(container).time_base)

    @property
    def frame_rate(self) -> Fraction:
        with self._opened() as container:
            stream = self._track(container)
            return stream.average_rate or stream.guessed_rate or _RATE_DEFAULT

    @property
    def duration(self) -> Fraction | None:
        """In seconds, as the container says."""
        with self._opened() as container:
            return None if container.duration is None else Fraction(container.duration, av.time_base)

    @property
    def frame_count(self) -> int:
        """As the configuration states it, counted where it does not."""
        return self.configuration.frame_count or sum(1 for _ in self.packets())

    def packets(self, *, start: Fraction | None = None) -> Iterator[TimedPacket]:
        """
        The packets of our track in coding order, from the last key frame at or before *start* on.

        Raises CorruptBitstream at the end if some are missing from a file that states how many it has.
        """
        count = 0
        with self._opened() as container:
            for packet in self._demuxed(container, start):
                count += 1
                yield packet
        stated = self.configuration.frame_count
        is_whole = start is None or start <= 0
        # More than stated: another tool has joined files, and each group of pictures still checks itself.
        if is_whole and count < stated and not self.damage:
            raise CorruptBitstream(f"the file holds {count} of {stated} frames", byte_offset=self.path.stat().st_size)

    def _demuxed(self, container: av.container.InputContainer, start: Fraction | None) -> Iterator[TimedPacket]:
        stream = self._track(container)
        packets = self._read(container, stream)
        if start is None or start <= 0:
            yield from packets
            return
        container.seek(int(start / stream.time_base), stream=stream)
        first = next(packets, None)
        if first is not None and first.is_key and first.time <= start:
            yield first
            yield from packets
            return
        yield from self._searched(start)

    def _searched(self, start: Fraction) -> Iterator[TimedPacket]:
        """For files without an index that can be trusted: read it all, keep what begins at the right key frame."""
        with self._opened() as container:
            at: Fraction | None = None
            for packet in self._read(container, self._track(container)):
                if packet.is_key and packet.time <= start:
                    at = packet.time
        with self._opened() as container:
            is_there = False
            for packet in self._read(container, self._track(container)):
                is_there = is_there or at is None or (packet.is_key and packet.time == at)
                if is_there:
                    yield packet

    def _read(self, container: av.container.InputContainer, stream: Any) -> Iterator[TimedPacket]:
        try:
            for packet in container.demux(stream):
                if packet.size:
                    time = (packet.pts or 0) * (packet.time_base or Fraction(1, 1000))
                    yield TimedPacket(bytes(packet), Fraction(time))
        except av.error.FFmpegError:
            if not self.damage:
                raise
