"""Sources: what FFmpeg reads, with what a player must know, or an error that says what to do."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from narrows.errors import VideoError
from narrows.media.description import Colour
from narrows.media.frames import to_frame
from narrows.media.video import Source

from ..builders import a_picture


def a_source(path: Path, *, options: dict[str, str] | None = None, rotation: int = 0, sizes: int = 1) -> Path:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, width=64, height=48, options=options or {})
        context = video.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, 1, 9, 1
        context.sample_aspect_ratio = Fraction(4, 3)
        if rotation:
            video.set_display_rotation(rotation)
        for i in range(4):
            frame = to_frame(a_picture(shift=i))
            frame.pts = i
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def test_colours_pixel_shape_and_rotation_are_known_after_the_first_picture(tmp_path: Path) -> None:
    with Source(a_source(tmp_path / "source.mp4", rotation=90)) as source:
        next(source.pictures())
        description = source.description

    assert description.colour == Colour(primaries=9, transfer=1, matrix=9, range=1)
    assert description.pixel_aspect == Fraction(4, 3)
    assert description.rotation == 90


def test_interlaced_fields_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = a_source(tmp_path / "source.mkv", options={"x264-params": "tff=1"})
    with Source(path) as source, pytest.raises(VideoError, match="deinterlace"):
        list(source.pictures())


def test_a_change_of_size_is_refused_and_says_where(tmp_path: Path) -> None:
    path = tmp_path / "source.h264"
    parts = []
    for width in (64, 80):
        part = tmp_path / f"{width}.h264"
        with av.open(str(part), "w") as container:
            video = container.add_stream("libx264", rate=25, width=width, height=48)
            container.mux(video.encode(to_frame(a_picture(width, 48))))
            container.mux(video.encode(None))
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    with Source(path) as source, pytest.raises(VideoError, match="64×48 to 80×48 at frame 1"):
        list(source.pictures())


def test_times_start_at_zero_and_durations_are_told(tmp_path: Path) -> None:
    with Source(a_source(tmp_path / "source.mp4")) as source:
        pictures = list(source.pictures())

    assert [p.time for p in pictures] == [Fraction(i, 25) for i in range(4)]
    assert pictures[0].duration == Fraction(1, 25)


def test_a_file_with_sound_only_has_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        container.add_stream("pcm_s16le", rate=8000)
        container.start_encoding()
    with pytest.raises(VideoError, match="it has no video"):
        Source(path)
