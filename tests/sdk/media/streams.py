"""Coded files around packets that only look like ours: what containers do needs no networks."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from narrows.codec.bitstream import Configuration, StreamHeader
from narrows.media.description import Description
from narrows.media.packets import Container, PacketTarget

HEADER = StreamHeader(width=64, height=48, model_id=bytes(16), is_development=True)
PLAIN = Description(width=64, height=48)
SUFFIX = {Container.MATROSKA: ".mkv", Container.MP4: ".mp4", Container.FRAGMENTED_MP4: ".f.mp4"}


def a_packet(index: int, *, is_key: bool) -> bytes:
    """The first byte is a frame's type."""
    return (b"i" if is_key else b"p") + bytes([index % 256] * 40)


def a_coded_file(
    folder: Path,
    container: Container,
    *,
    times: list[Fraction] | None = None,
    keys: tuple[int, ...] = (0, 4),
    order: list[int] | None = None,
    description: Description = PLAIN,
    time_base: Fraction | None = None,
    source: Path | None = None,
    frame_count: int | None = None,
    name: str = "coded",
) -> Path:
    """
    Packets shown at *times*, written in *order*, with key frames at *keys*; each names its place in display order.
    """
    times = times or [Fraction(i, 25) for i in range(8)]
    order = order or list(range(len(times)))
    path = folder / f"{name}{SUFFIX[container]}"
    target = PacketTarget(
        path,
        container=container,
        configuration=Configuration(header=HEADER, frame_count=0),
        description=description,
        frame_rate=Fraction(25),
        time_base=time_base,
        source=source,
    )
    for place, index in enumerate(order):
        coded = times[place - 1] if place else times[0] - Fraction(1, 25)
        following = times[index + 1] - times[index] if index + 1 < len(times) else None
        target.write(
            a_packet(index, is_key=index in keys),
            shown=times[index],
            coded=coded,
            is_key=index in keys,
            duration=following,
        )
    count = len(times) if frame_count is None else frame_count
    target.finish(Configuration(header=HEADER, frame_count=count), has_one_rate=False)
    return path


def a_source_with_everything(path: Path) -> Path:
    """Two seconds of video, sound, subtitles, chapters and tags."""
    with av.open(str(path), "w", format="matroska") as container:
        container.metadata["title"] = "A talk"
        container.set_chapters(
            [
                {"id": i + 1, "start": 1000 * i, "end": 1000 * i + 1000, "time_base": Fraction(1, 1000), "metadata": m}
                for i, m in enumerate([{"title": "Question"}, {"title": "Answer"}])
            ]
        )
        video = container.add_stream("mpeg4", rate=25, width=64, height=48)
        sound = container.add_stream("aac", rate=16000, layout="mono")
        sound.metadata["language"] = "eng"
        text = container.add_mux_stream("subrip")
        text.metadata["language"] = "fra"
        for i in range(50):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = i
            container.mux(video.encode(frame))
        for i in range(31):
            tone = (8000 * np.sin(np.arange(1024) * 0.2)).astype(np.float32)[None] / 32768
            samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 16000, 1024 * i
            container.mux(sound.encode(samples))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
        words = av.Packet(b"Hello")
        words.pts, words.dts, words.duration = 500, 500, 700
        words.time_base, words.stream = Fraction(1, 1000), text
        container.mux(words)
    return path
