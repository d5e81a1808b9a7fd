"""The beginning of a clip, by itself."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from narrows.errors import VideoError
from narrows.media.raw import Y4MTarget
from narrows.media.video import Source


def excerpt(clip: Path, target: Path, frames: int | None) -> Path:
    """The first *frames* of *clip*, or all, as Y4M in *target*, so that every encoder gets the same samples."""
    with Source(clip) as source:
        pictures = (timed.picture for timed in source.pictures())
        chosen = islice(pictures, frames)
        first = next(chosen, None)
        if first is None:
            raise VideoError(f"can't read {clip}: it has no frames")
        output = Y4MTarget(target, width=first.width, height=first.height, frame_rate=source.frame_rate)
        output.write(first)
        for picture in chosen:
            output.write(picture)
        output.finish()
    return target
