"""A coded file in, pictures out; all of it, or a part."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush
from math import floor
from pathlib import Path

from narrows.codec.pool import usual_threads
from narrows.codec.weights import require_model
from narrows.errors import VideoError
from narrows.files.progress import Progress
from narrows.media.coded_file import CodedFile
from narrows.media.picture import Picture
from narrows.media.raw import LosslessTarget, PictureTarget, Y4MTarget
from narrows.media.video import TimedPicture
from narrows.options import Device, Engine
from narrows.session.decoder import Decoder
from narrows.shown import Shown

FILLED_SECONDS_MAX = 10
"""The longest gap that is filled with repeated frames where packets are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeResult(Shown):
    """What `decode` made; *concealed_count* frames of it were repeated or left out, *notices* say why."""

    target: Path
    width: int
    height: int
    frame_count: int
    concealed_count: int
    frame_rate: Fraction
    seconds: float
    notices: tuple[str, ...]


def decode(
    source: Path | str,
    target: Path | str,
    *,
    start: Fraction | float | None = None,
    duration: Fraction | float | None = None,
    conceal: bool = False,
    threads: int | None = None,
    engine: Engine | str = Engine.AUTO,
    device: Device | str = Device.CPU,
    on_progress: Progress | None = None,
) -> DecodeResult:
    """
    Decode the coded file *source* into *target*: Y4M (.y4m), or lossless FFV1 with the sound beside it (.mkv).

    *start* and *duration* in seconds choose a part; decoding begins at the key frame before. With *conceal*, a damaged
    or cut-off file is decoded as far as it goes, frames that are lost shown as the one before. Needs no license and no
    network.

    Frames are decoded side by side on *threads* threads, as many as are usual for the machine and the size of the
    pictures if nothing is said; what is concealed has one. *engine* runs the networks
    on *device*.

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
    usual = usual_threads(header.width, header.height)
    decoder = Decoder(conceal=conceal, threads=1 if conceal else threads or usual, engine=engine, device=device)
    done = payload = 0
    shown_first: Fraction | None = None
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
            shown_first = timed.time if shown_first is None else shown_first
            # Counted from the first, so that uneven times don't add up; late by less than three quarters is not lost.
            missing = floor((timed.time - shown_first) * rate + Fraction(1, 4)) - done
            if conceal and 0 < missing <= FILLED_SECONDS_MAX * rate and isinstance(output, Y4MTarget):
                for _ in range(missing):
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
    finally:
        decoder.close()
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
    under_way: deque[tuple[Future[Picture], Fraction]] = deque()

    def waited_for(most: int) -> Iterator[TimedPicture]:
        while len(under_way) > most:
            picture, time = under_way.popleft()
            yield TimedPicture(picture.result(), time)

    for packet in coded.packets(start=start):
        if packet.is_key and times:
            yield from waited_for(0)
            for picture in decoder.finish():
                yield TimedPicture(picture, heappop(times))
            times.clear()
        heappush(times, packet.time)
        under_way += [(picture, heappop(times)) for picture in decoder.begin(packet.data)]
        yield from waited_for(decoder.ahead)
        yield len(packet.data)
    yield from waited_for(0)
    for picture in decoder.finish():
        yield TimedPicture(picture, heappop(times))
