"""Whole files in, whole files out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush
from itertools import chain
from pathlib import Path

from narrows import first_pass
from narrows.codec.weights import require_model
from narrows.errors import VideoError
from narrows.media.coded_file import CodedFile
from narrows.media.description import Colour
from narrows.media.packets import Container, PacketTarget, container_of
from narrows.media.raw import LosslessTarget, PictureTarget, Y4MTarget
from narrows.media.video import Source, TimedPicture
from narrows.options import CRF_DEFAULT, KEYINT_DEFAULT, Preset, Tune
from narrows.session import Decoder, Encoder, Packet
from narrows.settings import Settings

Progress = Callable[[int, int | None, int], None]
"""
Called after each frame with frames done, frames in all if known, and payload bytes so far. What it raises ends the
work: the unfinished file is removed, and the exception reaches the caller.
"""
PASSES_MAX = 2
FILLED_SECONDS_MAX = 10
"""The longest gap that is filled with repeated frames where packets are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeResult:
    """
    What `encode` made: *payload_bytes* are the video's, *file_bytes* the whole file's; *psnr* in dB (6:1:1).

    *notices* say what was changed or left out on the way.
    """

    target: Path
    container: Container
    width: int
    height: int
    frame_count: int
    key_frame_count: int
    frame_rate: Fraction
    source_bytes: int
    payload_bytes: int
    file_bytes: int
    bits_per_second: int
    psnr: float
    asset: str
    rendition: str
    license_state: str
    is_development: bool
    seconds: float
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeResult:
    """What `decode` made; *concealed_count* frames of it were repeated or left out, *notices* say why."""

    target: Path
    width: int
    height: int
    frame_count: int
    concealed_count: int
    frame_rate: Fraction
    seconds: float
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """
    What a coded file says of itself. *bits_per_pixel* counts the payload over luma pixels; *codecs* is for playlists
    and `Content-Type` (RFC 6381).
    """

    path: Path
    container: Container
    codecs: str
    width: int
    height: int
    pixel_aspect: Fraction
    rotation: int
    colour: Colour
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
    bitrate: int | None = None,
    passes: int = 1,
    maxrate: int | None = None,
    bufsize: int | None = None,
    fragmented: bool = False,
    content_class: str = "",
    license: Path | None = None,
    settings: Settings | None = None,
    on_progress: Progress | None = None,
) -> EncodeResult:
    """
    Encode the video of *source* into *target*, Matroska (.mkv) or MP4 (.mp4); its audio, subtitles, chapters and
    metadata are carried along as they are. With *fragmented*, MP4 in fragments that begin at key frames.

    *bitrate*, bits a second, takes the place of *crf*; with *passes* 2 the file is read twice, and comes nearer to it.
    *maxrate*, bits a second, and *bufsize*, bits, are a receiver's buffer that never overflows.

    *content_class* is your word for content of this kind, such as `animation`; samples of it are drawn together.
    The usage record is on the disk before *target* appears. Raises VideoError, LicenseRefused, UsageError.

    >>> narrows.encode("talk.mp4", "talk.mkv", crf=32).payload_bytes  # doctest: +SKIP
    1834211
    """
    source, target = Path(source), Path(target)
    if not 1 <= passes <= PASSES_MAX:
        raise VideoError(f"passes {passes}: there are 1 or {PASSES_MAX}")
    if passes == PASSES_MAX and bitrate is None:
        raise VideoError("two passes are of use with bitrate only: crf needs one")
    container = container_of(target, is_fragmented=fragmented)
    started = time.monotonic()
    with Source(source) as video:
        pictures = video.pictures()
        first = next(pictures, None)
        if first is None:
            raise VideoError(f"can't read {source}: it has no frames")
        description, rate, total = video.description, video.frame_rate, video.frame_count_estimate
        with Encoder(
            width=description.width,
            height=description.height,
            rate=rate,
            crf=crf,
            preset=preset,
            tune=tune,
            keyint=keyint,
            low_delay=low_delay,
            bitrate=bitrate,
            maxrate=maxrate,
            bufsize=bufsize,
            content_class=content_class,
            license=license,
            settings=settings,
        ) as encoder:
            encoder.expect(total)
            before = 0
            if passes == PASSES_MAX:
                told = _Pass(on_progress, total and PASSES_MAX * total)
                encoder.follow(first_pass.plan(source, encoder.options, on_frame=told))
                before, total = told.done, total and PASSES_MAX * total
            output = PacketTarget(
                target,
                container=container,
                configuration=encoder.configuration(),
                description=description,
                frame_rate=rate,
                time_base=video.time_base,
                source=source,
                start=video.start,
            )
            try:
                done = payload = 0
                shown: list[_Moment] = []
                for packet in _packets(encoder, chain([first], pictures), shown):
                    output.write(
                        packet.data,
                        shown=shown[packet.pts].time,
                        coded=_decoding_time(shown, packet.dts, rate),
                        is_key=packet.is_keyframe,
                        duration=_duration(shown, packet.pts),
                    )
                    done, payload = done + 1, payload + len(packet.data)
                    if on_progress:
                        on_progress(before + done, total, payload)
                summary = encoder.close()
                assert summary is not None
                output.finish(encoder.configuration(), has_one_rate=_has_one_rate(shown, rate))
            except BaseException:
                output.discard()
                raise
            granted = encoder.permission.granted
    return EncodeResult(
        target=target,
        container=container,
        width=description.width,
        height=description.height,
        frame_count=summary.frame_count,
        key_frame_count=summary.key_frame_count,
        frame_rate=rate,
        source_bytes=source.stat().st_size,
        payload_bytes=summary.payload_bytes,
        file_bytes=target.stat().st_size,
        bits_per_second=round(8 * summary.payload_bytes * rate / summary.frame_count),
        psnr=summary.psnr,
        asset=summary.asset,
        rendition=summary.rendition,
        license_state=granted.state.value,
        is_development=granted.is_development,
        seconds=time.monotonic() - started,
        notices=(*video.notices, *output.notices),
    )


class _Pass:
    """Tells the progress of a first pass, as the first half of the work."""

    def __init__(self, tell: Progress | None, total: int | None) -> None:
        self._tell, self._total, self.done = tell, total, 0

    def __call__(self, done: int, size: int) -> None:
        self.done = done
        if self._tell:
            self._tell(done, self._total, size)


@dataclass(frozen=True, slots=True)
class _Moment:
    """When a frame is shown and, if the source says so, for how long."""

    time: Fraction
    duration: Fraction | None


def _packets(encoder: Encoder, pictures: Iterable[TimedPicture], shown: list[_Moment]) -> Iterator[Packet]:
    """Everything that *encoder* makes of *pictures*; *shown* grows by each."""
    for timed in pictures:
        shown.append(_Moment(timed.time, timed.duration))
        yield from encoder.encode(timed.picture)
    yield from encoder.flush()


def _decoding_time(shown: list[_Moment], dts: int, rate: Fraction) -> Fraction:
    """When the packet with *dts* is decoded: the time of that frame, and before the first one by the rate."""
    return shown[dts].time if dts >= 0 else shown[0].time + dts / rate


def _duration(shown: list[_Moment], index: int) -> Fraction | None:
    """How long a frame is shown: until the next one, where that is known already."""
    return shown[index + 1].time - shown[index].time if index + 1 < len(shown) else shown[index].duration


def _has_one_rate(shown: list[_Moment], rate: Fraction) -> bool:
    """Whether every frame is within a millisecond of where *rate* puts it: timestamps may be rounded to that."""
    return all(abs(timed.time - index / rate) <= Fraction(1, 1000) for index, timed in enumerate(shown))


def decode(
    source: Path | str,
    target: Path | str,
    *,
    start: Fraction | float | None = None,
    duration: Fraction | float | None = None,
    conceal: bool = False,
    on_progress: Progress | None = None,
) -> DecodeResult:
    """
    Decode the coded file *source* into *target*: Y4M (.y4m), or lossless FFV1 with the sound beside it (.mkv).

    *start* and *duration* in seconds choose a part; decoding begins at the key frame before. With *conceal*, a damaged
    or cut-off file is decoded as far as it goes, frames that are lost shown as the one before. Needs no license and no
    network.

    Raises BitstreamError when *source* is damaged or not ours, `CutOff` when its end is missing, and VideoError when
    *target* can't be written; then there is no *target*.
    """
    source, target = Path(source), Path(target)
    if target.suffix.lower() not in (".y4m", ".mkv"):
        raise VideoError(
            f"can't write {target}: decoded files are YUV4MPEG2 or FFV1 in Matroska, so the name ends in .y4m or .mkv"
        )
    first = Fraction(0) if start is None else Fraction(start)
    end = None if duration is None else first + Fraction(duration)
    if first < 0 or (end is not None and end <= first):
        raise VideoError("start is 0 or more seconds, and duration more than 0")
    started = time.monotonic()
    coded = CodedFile.open(source, tolerates_damage=conceal)
    header, total, rate = coded.configuration.header, coded.configuration.frame_count or None, coded.frame_rate
    require_model(header.model_id)
    notices = [f"{source.name}: {what}; decoded as far as it goes" for what in coded.damage]
    output = _picture_target(target, coded, rate, first)
    decoder = Decoder(conceal=conceal)
    done = payload = 0
    shown_last: Fraction | None = None
    is_uneven = False
    try:
        for timed in _timed_pictures(decoder, coded, start=first):
            if isinstance(timed, int):
                payload += timed
                continue
            if timed.time < first:
                continue
            if end is not None and timed.time >= end:
                break
            steps = 1 if shown_last is None else round((timed.time - shown_last) * rate)
            is_uneven = is_uneven or steps != 1
            if conceal and 1 < steps <= FILLED_SECONDS_MAX * rate and isinstance(output, Y4MTarget):
                for _ in range(steps - 1):
                    output.write(timed.picture)
                    done += 1
            output.write(timed.picture, timed.time - first)
            shown_last = timed.time
            done += 1
            if on_progress:
                on_progress(done, total, payload)
        if done == 0:
            raise VideoError(f"{source} has no frames between {float(first)} s and {end and float(end)} s")
        output.finish()
    except BaseException:
        output.discard()
        raise
    if decoder.concealed_count:
        notices.append(f"{decoder.concealed_count} frames could not be decoded and repeat the one before")
    if is_uneven and target.suffix.lower() == ".y4m" and not conceal:
        notices.append("frames are not evenly spaced in time, which Y4M can't say; decode to .mkv to keep their times")
    return DecodeResult(
        target=target,
        width=header.width,
        height=header.height,
        frame_count=done,
        concealed_count=decoder.concealed_count,
        frame_rate=rate,
        seconds=time.monotonic() - started,
        notices=tuple(notices),
    )


def _picture_target(target: Path, coded: CodedFile, rate: Fraction, start: Fraction) -> PictureTarget:
    header, description = coded.configuration.header, coded.description
    if target.suffix.lower() == ".mkv":
        return LosslessTarget(target, description=description, frame_rate=rate, source=coded.path, start=start)
    return Y4MTarget(
        target, width=header.width, height=header.height, frame_rate=rate, pixel_aspect=description.pixel_aspect
    )


def _timed_pictures(decoder: Decoder, coded: CodedFile, *, start: Fraction) -> Iterator[TimedPicture | int]:
    """
    Pictures of *coded* in display order, from the key frame before *start* on; between them, the bytes that they took.

    Packets come in coding order and pictures in that of display, so each picture takes the earliest time not taken.
    """
    times: list[Fraction] = []
    for packet in coded.packets(start=start):
        if packet.is_key and times:
            for picture in decoder.finish():
                yield TimedPicture(picture, heappop(times))
            times.clear()
        heappush(times, packet.time)
        for picture in decoder.decode_pictures(packet.data):
            yield TimedPicture(picture, heappop(times))
        yield len(packet.data)
    for picture in decoder.finish():
        yield TimedPicture(picture, heappop(times))


def probe(path: Path | str) -> FileInfo:
    """Read what a coded file says of itself, and check all of it; nothing is decoded."""
    coded = CodedFile.open(Path(path))
    header, description = coded.configuration.header, coded.description
    sizes = [(len(packet.data), packet.is_key) for packet in coded.packets()]
    payload = sum(size for size, _ in sizes)
    return FileInfo(
        path=coded.path,
        container=coded.container,
        codecs=coded.codecs,
        width=header.width,
        height=header.height,
        pixel_aspect=description.pixel_aspect,
        rotation=description.rotation,
        colour=description.colour,
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
