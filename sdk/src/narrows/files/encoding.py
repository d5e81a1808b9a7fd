"""A video file in, a coded file out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from narrows.errors import VideoError
from narrows.files import first_pass
from narrows.files.progress import Progress
from narrows.media.packets import Container, PacketTarget, container_of
from narrows.media.video import Source, TimedPicture
from narrows.options import CRF_DEFAULT, KEYINT_DEFAULT, Device, Engine, Preset, Tune
from narrows.session.encoder import Encoder
from narrows.session.packet import Packet
from narrows.settings import Settings
from narrows.shown import Shown

if TYPE_CHECKING:
    from narrows.cluster import Cluster

PASSES_MAX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeResult(Shown):
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
    threads: int | None = None,
    engine: Engine | str = Engine.AUTO,
    device: Device | str = Device.CPU,
    license: Path | None = None,
    settings: Settings | None = None,
    cluster: Cluster | None = None,
    on_progress: Progress | None = None,
) -> EncodeResult:
    """
    Encode the video of *source* into *target*, Matroska (.mkv) or MP4 (.mp4); its audio, subtitles, chapters and
    metadata are carried along as they are. With *fragmented*, MP4 in fragments that begin at key frames.

    *bitrate*, bits a second, takes the place of *crf*; with *passes* 2 the file is read twice, and comes nearer to it.
    *maxrate*, bits a second, and *bufsize*, bits, are a receiver's buffer that never overflows.

    With a *cluster* its workers code, to the same bytes; it takes crf, not a bit rate.

    *content_class* is your word for content of this kind, such as `animation`; samples of it are drawn together.
    *threads* frames are coded side by side, as many as are usual for the machine if nothing is said; *engine* runs the
    networks.

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
            threads=threads,
            engine=engine,
            device=device,
            license=license,
            settings=settings,
            cluster=cluster,
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
