"""Makes valid things for the SDK's tests, so that a test shows only what it is about."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from narrows.media.frames import to_frame
from narrows.media.picture import Picture
from narrows.media.raw import Y4MTarget
from narrows.settings import Settings
from narrows.testing import a_picture, write_clip

__all__ = ["a_clip", "a_clip_of", "a_clip_with_audio", "a_picture", "settings_in"]


def a_clip_of(pictures: list[Picture], path: Path, rate: int = 25) -> Path:
    """Write *pictures* losslessly."""
    target = Y4MTarget(path, width=pictures[0].width, height=pictures[0].height, frame_rate=Fraction(rate))
    for picture in pictures:
        target.write(picture)
    target.finish()
    return path


def a_clip(path: Path, *, width: int = 64, height: int = 48, frames: int = 5) -> Path:
    """A panning texture as Y4M."""
    return write_clip(path, width=width, height=height, frames=frames)


def a_clip_with_audio(path: Path, *, width: int = 64, height: int = 48, frames: int = 10) -> Path:
    """A panning texture with a tone, in Matroska."""
    with av.open(str(path), "w", format="matroska") as container:
        video = container.add_stream("mpeg4", rate=25)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=8000)
        assert isinstance(audio, av.AudioStream)
        for i in range(frames):
            frame = to_frame(a_picture(width, height, shift=1.5 * i))
            frame.pts = i
            container.mux(video.encode(frame))
            tone = (8000 * np.sin(np.arange(320) * 0.3 + i)).astype(np.int16)[None]
            sound = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            sound.sample_rate, sound.pts = 8000, 320 * i
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def settings_in(folder: Path) -> Settings:
    """Everything under *folder*."""
    return Settings(license_path=folder / "license.json", roots_path=None, state_folder=folder / "state")
