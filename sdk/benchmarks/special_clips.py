"""
Make the clips that codecs stumble over: cuts, fades, still pictures, noise, text, darkness, and a long pan.

    python sdk/benchmarks/special_clips.py FOLDER
    make rd CLIPS=FOLDER

Everything is drawn here from fixed seeds, so the clips need no license and are the same everywhere: lossless FFV1,
384×256, 25 frames a second.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 384, 256, 25
FRAMES, FRAMES_LONG = 48, 300
Frame = NDArray[np.float32]
"""BGR in 0..255, `[HEIGHT, WIDTH, 3]`."""


def scenery(seed: int) -> Frame:
    """A picture of four frames' size with structure at all sizes: clouds of noise, edges, coloured shapes."""
    random = np.random.default_rng(seed)
    height, width = 2 * HEIGHT, 2 * WIDTH
    picture = np.zeros((height, width, 3), np.float32)
    for octave in range(2, 8):
        grain = random.normal(0, 1, (max(2, height >> (8 - octave)), max(2, width >> (8 - octave)), 3))
        picture += cv2.resize(grain.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC) * 48 / octave
    picture += 110
    for _ in range(40):
        centre = (int(random.integers(width)), int(random.integers(height)))
        size = (int(random.integers(8, 90)), int(random.integers(8, 60)))
        colour = random.uniform(20, 235, 3).tolist()
        angle = float(random.uniform(0, 180))
        if random.random() < 0.5:
            cv2.ellipse(picture, centre, size, angle, 0, 360, colour, -1, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints((centre, size, angle)).astype(np.int32)
            cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA)
    texture = cv2.GaussianBlur(random.normal(0, 14, picture.shape[:2]).astype(np.float32), (0, 0), 1.2)
    whole: Frame = np.clip(picture + 2 * texture[..., None], 0, 255)
    return whole


def view(picture: Frame, x: float, y: float) -> Frame:
    """The frame of *picture* around a place that may lie between its pixels; *x* and *y* in 0..1."""
    centre = (WIDTH / 2 + x * (picture.shape[1] - WIDTH), HEIGHT / 2 + y * (picture.shape[0] - HEIGHT))
    seen: Frame = cv2.getRectSubPix(picture, (WIDTH, HEIGHT), centre)
    return seen


def _pan(picture: Frame, at: float) -> Frame:
    """A slow look around: *at* in seconds."""
    return view(picture, 0.5 + 0.4 * float(np.sin(0.6 * at)), 0.5 + 0.4 * float(np.sin(0.37 * at)))


def cuts() -> Iterator[Frame]:
    """A new scene every twelve frames."""
    for index in range(FRAMES):
        yield _pan(scenery(index // 12), index / RATE)


def fades() -> Iterator[Frame]:
    """From black into one scene, across into another, and out to white."""
    one, other = scenery(20), scenery(21)
    for index in range(FRAMES):
        at = index / (FRAMES - 1) * 3
        share = min(1.0, max(0.0, at - 1))
        mixed = _pan(one, index / RATE) * (1 - share) + _pan(other, index / RATE) * share
        lit = mixed * min(1.0, at)
        yield (lit + (255 - lit) * max(0.0, at - 2)).astype(np.float32)


def still() -> Iterator[Frame]:
    """Nothing moves."""
    picture = view(scenery(30), 0.5, 0.5)
    for _ in range(FRAMES):
        yield picture


def noise() -> Iterator[Frame]:
    """A pan under strong sensor noise, new in every frame."""
    picture, random = scenery(40), np.random.default_rng(41)
    for index in range(FRAMES):
        yield _pan(picture, index / RATE) + random.normal(0, 12, (HEIGHT, WIDTH, 3)).astype(np.float32)


def text() -> Iterator[Frame]:
    """A page of small writing that scrolls."""
    random = np.random.default_rng(50)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789 ,.;:-"
    page = np.full((HEIGHT + 4 * FRAMES, WIDTH, 3), 246, np.uint8)
    for row in range(14, page.shape[0], 14):
        line = "".join(random.choice(list(letters), 58))
        ink = (40, 40, 40) if random.random() < 0.8 else (160, 60, 30)
        cv2.putText(page, line, (6, row), cv2.FONT_HERSHEY_SIMPLEX, 0.36, ink, 1, cv2.LINE_AA)
    for index in range(FRAMES):
        yield page[2 * index : 2 * index + HEIGHT].astype(np.float32)


def dark() -> Iterator[Frame]:
    """A night scene: an eighth of the light, a lamp that moves, a little noise."""
    picture, random = scenery(60), np.random.default_rng(61)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    for index in range(FRAMES):
        lamp = np.exp(-((columns - 60 - 5 * index) ** 2 + (rows - 120) ** 2) / 3000)[..., None]
        lit = _pan(picture, index / RATE) * (0.125 + 0.5 * lamp)
        yield (lit + random.normal(0, 1.5, lit.shape)).astype(np.float32)


def long() -> Iterator[Frame]:
    """Twelve seconds without a cut, for drift: a pan, something that crosses it, mild noise."""
    picture, front, random = scenery(70), view(scenery(71), 0.2, 0.2)[:64, :96], np.random.default_rng(72)
    for index in range(FRAMES_LONG):
        frame = _pan(picture, index / RATE)
        left = int((index * 3) % (WIDTH - 96))
        frame[90:154, left : left + 96] = front
        yield frame + random.normal(0, 1, frame.shape).astype(np.float32)


CLIPS: dict[str, Callable[[], Iterator[Frame]]] = {
    "cuts": cuts,
    "fades": fades,
    "still": still,
    "noise": noise,
    "text": text,
    "dark": dark,
    "long": long,
}


def write(frames: Iterator[Frame], target: Path) -> None:
    """*frames* as lossless 4:2:0."""
    with av.open(str(target), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.clip(frame, 0, 255).astype(np.uint8), "bgr24")
            coded = picture.reformat(format="yuv420p")
            coded.pts, coded.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(coded))
        container.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="names, separated by commas")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, make in CLIPS.items():
        if not arguments.only or name in arguments.only.split(","):
            write(make(), arguments.folder / f"{name}.mkv")
            print(arguments.folder / f"{name}.mkv", flush=True)


if __name__ == "__main__":
    main()
