"""The encoders that Narrows is compared with, through PyAV: what they need, what they make of a clip, how fast."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.codec
import av.error

from narrows.errors import VideoError
from narrows.media.conventional import open_encoder
from narrows.media.frames import to_frame, to_picture
from narrows.media.picture import Picture
from narrows.media.video import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """An encoder at one preset, all else as it has it by default; *crfs* cover the rates of Narrows."""

    name: str
    label: str
    encoder: str
    decoder: str
    preset: str
    crfs: tuple[int, ...]
    crf_max: int
    options: tuple[tuple[str, str], ...] = ()

    @property
    def is_available(self) -> bool:
        """Whether this build of PyAV has it."""
        try:
            av.Codec(self.encoder, "w")
        except av.codec.codec.UnknownCodecError:
            return False
        return True


ANCHORS = (
    Anchor(
        name="x264",
        label="x264 medium",
        encoder="libx264",
        decoder="h264",
        preset="medium",
        crfs=(18, 23, 28, 33, 38),
        crf_max=51,
    ),
    Anchor(
        name="x265",
        label="x265 medium",
        encoder="libx265",
        decoder="hevc",
        preset="medium",
        crfs=(18, 23, 28, 33, 38),
        crf_max=51,
        options=(("x265-params", "log-level=error:info=0"),),
    ),
    Anchor(
        name="svt-av1",
        label="SVT-AV1 preset 8",
        encoder="libsvtav1",
        decoder="libdav1d",
        preset="8",
        crfs=(22, 30, 38, 46, 54),
        crf_max=63,
    ),
)


@dataclass(frozen=True, slots=True)
class AnchorEncode:
    """What an encoder made of a clip: its packets' bytes and the seconds that it took."""

    packets: tuple[av.Packet[av.VideoStream], ...]
    seconds: float

    @property
    def payload_bytes(self) -> int:
        return sum(packet.size for packet in self.packets)


def encode_with(anchor: Anchor, clip: Path, crf: float) -> AnchorEncode:
    """Encode *clip* at *crf*; raises VideoError when the encoder fails."""
    try:
        with Source(clip) as source:
            pictures = source.pictures()
            first = next(pictures)
            encoder = _open(anchor, crf, first.picture, source.frame_rate)
            packets: list[av.Packet[av.VideoStream]] = []
            seconds = 0.0
            for index, picture in enumerate(_pictures(first.picture, (t.picture for t in pictures))):
                frame = to_frame(picture)
                frame.pts, frame.time_base = index, encoder.time_base
                started = time.perf_counter()
                packets += encoder.encode(frame)
                seconds += time.perf_counter() - started
            started = time.perf_counter()
            packets += encoder.encode(None)
            return AnchorEncode(tuple(packets), seconds + time.perf_counter() - started)
    except av.error.FFmpegError as error:
        raise VideoError(f"{anchor.label} failed: {error}") from error


def _pictures(first: Picture, rest: Iterator[Picture]) -> Iterator[Picture]:
    yield first
    yield from rest


def _open(anchor: Anchor, crf: float, picture: Picture, rate: Fraction) -> av.VideoCodecContext:
    return open_encoder(
        anchor.encoder,
        size=(picture.width, picture.height),
        pixel_format="yuv420p",
        rate=rate,
        options={"preset": anchor.preset, "crf": f"{crf:g}", **dict(anchor.options)},
    )


def decode_with(anchor: Anchor, encode: AnchorEncode) -> Iterator[Picture]:
    """The pictures that a player shows; raises VideoError when the decoder fails."""
    decoder = av.CodecContext.create(anchor.decoder, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    try:
        for packet in (*encode.packets, None):
            for frame in decoder.decode(packet):
                yield to_picture(frame)
    except av.error.FFmpegError as error:
        raise VideoError(f"decoding {anchor.label} failed: {error}") from error
