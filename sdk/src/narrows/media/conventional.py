"""Conventional encoders (x264, x265, SVT-AV1) as PyAV carries them: opened so that this process stays what it was."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import av.codec
import av.error

from narrows.errors import VideoError

_THREADS = Path("/proc/self/task")


def open_encoder(
    name: str,
    *,
    size: tuple[int, int],
    pixel_format: str,
    rate: Fraction,
    options: Mapping[str, str],
    gop_frames_max: int | None = None,
) -> av.VideoCodecContext:
    """
    FFmpeg's encoder *name* for pictures of *size* (width, height).

    Raises VideoError when this build of PyAV has no such video encoder, and `FFmpegError` when it refuses that.
    """
    os.environ.setdefault("SVT_LOG", "1")  # Errors alone: SVT-AV1 writes to the terminal past FFmpeg's log.
    try:
        encoder = av.CodecContext.create(name, "w")
    except av.codec.codec.UnknownCodecError as error:
        raise VideoError(f"this build of PyAV has no {name}; install one that carries it") from error
    if not isinstance(encoder, av.VideoCodecContext):
        raise VideoError(f"{name} codes no video")
    encoder.width, encoder.height = size
    encoder.pix_fmt = pixel_format
    encoder.framerate, encoder.time_base = rate, 1 / rate
    if gop_frames_max is not None:
        encoder.gop_size = gop_frames_max
    encoder.options = dict(options)
    with keeping_priority():
        encoder.open()
    return encoder


@contextmanager
def keeping_priority() -> Iterator[None]:
    """
    Whatever the block does: every thread of this process is scheduled as before, and new ones like the caller.

    SVT-AV1 makes the thread that opens it, and all of its own, real-time ones of the highest priority if it may, which
    as root it may. They would stay so, with all processes that they start, and other work on the machine would stop.
    """
    if not _THREADS.is_dir():  # Elsewhere there is no such list, nor is root so common.
        yield
        return
    before = {thread: _scheduling(thread) for thread in _threads()}
    own = _scheduling(0)
    try:
        yield
    finally:
        for thread in _threads():
            with suppress(ProcessLookupError):  # It has ended meanwhile.
                wanted = before.get(thread, own)
                if _scheduling(thread) != wanted:
                    os.sched_setscheduler(thread, wanted[0], os.sched_param(wanted[1]))


def _threads() -> list[int]:
    return [int(thread.name) for thread in _THREADS.iterdir()]


def _scheduling(thread: int) -> tuple[int, int]:
    """Policy and priority."""
    return os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority
