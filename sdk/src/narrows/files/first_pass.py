"""
The first of two passes: what each group of a file takes at one quality, so that the second can divide its bits.

Nothing is written, recorded or asked of a license: the second pass is the encode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from narrows.codec.budget import PlannedGroup
from narrows.codec.encoder import FrameEncoder
from narrows.codec.pool import usual_threads
from narrows.codec.weights import ready_model
from narrows.media.video import Source
from narrows.options import EncodeOptions, Preset


def plan(
    source: Path, options: EncodeOptions, *, on_frame: Callable[[int, int], None] | None = None
) -> list[PlannedGroup]:
    """
    Code *source* with the fast preset at the crf of *options*; what each group took.

    *on_frame* is called with the frames and the bytes so far. Raises VideoError.
    """
    with Source(source) as video:
        encoder: FrameEncoder | None = None
        done = size = 0
        for timed in video.pictures():
            if encoder is None:
                encoder = FrameEncoder(
                    timed.picture.width,
                    timed.picture.height,
                    model=ready_model(),
                    options=replace(options, preset=Preset.FAST, bitrate=None, maxrate=None, bufsize=None),
                    is_development=False,
                    frame_rate=video.frame_rate,
                    threads=usual_threads(timed.picture.width, timed.picture.height),
                )
            frames = encoder.encode(timed.picture)
            done, size = done + len(frames), size + sum(len(frame.data) for frame in frames)
            if on_frame and frames:
                on_frame(done, size)
        if encoder is not None:
            encoder.flush()
            encoder.close()
        return [] if encoder is None else encoder.budget.groups
