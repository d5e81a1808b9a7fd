"""Whole files in, whole files out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

from narrows.errors import VideoError
from narrows.media.video import CodedFile, PacketTarget, Source, TimedPicture, Y4MTarget
from narrows.options import CRF_DEFAULT, KEYINT_DEFAULT, Preset, Tune
from narrows.session import Decoder, Encoder, Packet
from narrows.settings import Settings

Progress = Callable[[int, int | None, int], None]
"""Called after each frame with frames done, frames in all if known, and payload bytes so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeResult:
    """What `encode` made: *payload_bytes* are the video's, *file_bytes* the whole file's; *psnr* in dB (6:1:1)."""

    target: Path
    width: int
    height: int
    frame_count: int
    key_frame_count: int
    frame_rate: Fraction
    source_bytes: int
    payload_bytes: int
    file_bytes: int
    psnr: float
    asset: str
    rendition: str
    license_state: str
    is_development: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeResult:
    """What `decode` made."""

    target: Path
    width: int
    height: int
    frame_count: int
    frame_rate: Fraction
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What a coded file says of itself. *bits_per_pixel* counts the payload over luma pixels."""

    path: Path
    width: int
    height: int
    frame_count: int
    key_frame_count: int
    frame_rate: Fraction
    payload_bytes: int
    bits_per_pixel: float
    model_id: str
    is_development: bool


def encode(
    source: Path | str,
    target: Path | str,
    *,
    crf: int = CRF_DEFAULT,
    preset: Preset | str = Preset.MEDIUM,
    tune: Tune | str = Tune.VISUAL,
    keyint: int = KEYINT_DEFAULT,
    low_delay: bool = False,
    license: Path | None = None,
    settings: Settings | None = None,
    on_progress: Progress | None = None,
) -> EncodeResult:
    """
    Encode the video of *source* into the Matroska file *target*, its audio carried along.

    The usage record is on the disk before *target* appears. Raises VideoError, LicenseRefused, UsageError.

    >>> narrows.encode("talk.mp4", "talk.mkv", crf=32).payload_bytes  # doctest: +SKIP
    1834211
    """
    source, target = Path(source), Path(target)
    if target.suffix.lower() != ".mkv":
        raise VideoError(f"can't write {target}: coded files are Matroska, so the name has to end in .mkv")
    started = time.monotonic()
    with Source(source) as video:
        pictures = video.pictures()
        first = next(pictures, None)
        if first is None:
            raise VideoError(f"can't read {source}: it has no frames")
        width, height = first.picture.width, first.picture.height
        rate, total = video.frame_rate, video.frame_count_estimate
        with Encoder(
            width=width,
            height=height,
            rate=rate,
            crf=crf,
            preset=preset,
            tune=tune,
            keyint=keyint,
            low_delay=low_delay,
            license=license,
            settings=settings,
        ) as encoder:
            output = PacketTarget(target, source=source, frame_rate=rate, width=width, height=height)
            try:
                done = payload = 0
                times: list[Fraction] = []
                for packet in _packets(encoder, chain([first], pictures), times):
                    shown, coded = times[packet.pts], times[max(0, packet.dts)]
                    output.write(packet.data, shown=shown, coded=coded, is_key=packet.is_keyframe)
                    done, payload = done + 1, payload + len(packet.data)
                    if on_progress:
                        on_progress(done, total, payload)
                summary = encoder.close()
                assert summary is not None
                output.finish(encoder.configuration())
            except BaseException:
                output.discard()
                raise
            granted = encoder.permission.granted
    return EncodeResult(
        target=target,
        width=width,
        height=height,
        frame_count=summary.frame_count,
        key_frame_count=summary.key_frame_count,
        frame_rate=rate,
        source_bytes=source.stat().st_size,
        payload_bytes=summary.payload_bytes,
        file_bytes=target.stat().st_size,
        psnr=summary.psnr,
        asset=summary.asset,
        rendition=summary.rendition,
        license_state=granted.state.value,
        is_development=granted.is_development,
        seconds=time.monotonic() - started,
    )


def _packets(encoder: Encoder, pictures: Iterable[TimedPicture], times: list[Fraction]) -> Iterator[Packet]:
    """Everything that *encoder* makes of *pictures*; *times* grows by each picture's."""
    for timed in pictures:
        times.append(timed.time)
        yield from encoder.encode(timed.picture)
    yield from encoder.flush()


def decode(source: Path | str, target: Path | str, *, on_progress: Progress | None = None) -> DecodeResult:
    """
    Decode the coded file *source* into the Y4M file *target*. Needs no license and no network.

    Raises BitstreamError when *source* is damaged or not ours, VideoError when *target* can't be written.
    """
    source, target = Path(source), Path(target)
    if target.suffix.lower() != ".y4m":
        raise VideoError(f"can't write {target}: decoded files are YUV4MPEG2, so the name has to end in .y4m")
    started = time.monotonic()
    coded = CodedFile.open(source)
    header, total = coded.configuration.header, coded.configuration.frame_count
    rate = coded.frame_rate
    output = Y4MTarget(target, width=header.width, height=header.height, frame_rate=rate)
    decoder = Decoder()
    done = payload = 0
    try:
        for packet in coded.packets():
            for picture in decoder.decode_pictures(packet.data):
                output.write(picture)
                done += 1
            payload += len(packet.data)
            if on_progress:
                on_progress(done, total, payload)
        decoder.finish()
        output.finish()
    except BaseException:
        output.discard()
        raise
    return DecodeResult(
        target=target,
        width=header.width,
        height=header.height,
        frame_count=done,
        frame_rate=rate,
        seconds=time.monotonic() - started,
    )


def inspect(path: Path | str) -> FileInfo:
    """Read what a coded file says of itself, and check all of it; nothing is decoded."""
    coded = CodedFile.open(Path(path))
    header = coded.configuration.header
    sizes = [(len(p.data), p.data[:1] == b"I") for p in coded.packets()]
    payload = sum(size for size, _ in sizes)
    return FileInfo(
        path=coded.path,
        width=header.width,
        height=header.height,
        frame_count=len(sizes),
        key_frame_count=sum(is_key for _, is_key in sizes),
        frame_rate=coded.frame_rate,
        payload_bytes=payload,
        bits_per_pixel=8 * payload / max(1, len(sizes) * header.width * header.height),
        model_id=header.model_id.hex(),
        is_development=header.is_development,
    )


def coded_digest(path: Path) -> bytes:
    """The SHA-256 of the packets of a coded file: what its rendition id is made of."""
    digest = hashlib.sha256()
    for packet in CodedFile.open(path).packets():
        digest.update(packet.data)
    return digest.digest()
