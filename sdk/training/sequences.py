"""
Short sequences cut from clips, or moved over photos: the examples that training draws from.

A sequence is `SEQUENCE_FRAMES` frames of `CROP`² pixels, 4:2:0, 8 bit. Photos move along smooth random paths: pan,
zoom, rotation, a foreground layer, a slowly bending warp, exposure ramps and sensor noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from training.manifest import Material

CROP = 256
SEQUENCE_FRAMES = 9
FRAMES_READ_MAX = 240

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def crop420(frame: Bytes, top: int, left: int) -> Bytes:
    """Cut CROP² at an even position out of a planar 4:2:0 array `[H*3/2, W]`; flat Y, U, V."""
    height, width = frame.shape[0] * 2 // 3, frame.shape[1]
    luma = frame[:height]
    chroma = frame[height:].reshape(2, height // 2, width // 2)
    half = CROP // 2
    cut = chroma[:, top // 2 : top // 2 + half, left // 2 : left // 2 + half]
    return np.concatenate([luma[top : top + CROP, left : left + CROP].ravel(), cut.ravel()])


def clip_sequences(material: Material, count: int, random: np.random.Generator) -> Iterator[Bytes]:
    """Up to *count* sequences from a video, at one random scale; still and cut-through pieces are skipped."""
    with av.open(str(material.path)) as container:
        stream = container.streams.video[0]
        short_side = min(stream.codec_context.width, stream.codec_context.height)
        target = random.uniform(272, min(short_side, 600)) if short_side > 330 else short_side
        width = int(stream.codec_context.width * target / short_side) // 8 * 8
        height = int(stream.codec_context.height * target / short_side) // 8 * 8
        frames: list[Bytes] = []
        for frame in container.decode(stream):
            picture = frame.reformat(width, height, "yuv420p", interpolation="AREA")
            frames.append(picture.to_ndarray().astype(np.uint8))
            if len(frames) == FRAMES_READ_MAX:
                break
    if len(frames) < SEQUENCE_FRAMES:
        return
    made = 0
    for _ in range(count * 2):
        step = int(random.choice([1, 1, 1, 2])) if len(frames) > 2 * SEQUENCE_FRAMES else 1
        first = int(random.integers(0, len(frames) - step * (SEQUENCE_FRAMES - 1)))
        top = int(random.integers(0, height - CROP + 1)) // 2 * 2
        left = int(random.integers(0, width - CROP + 1)) // 2 * 2
        sequence = np.stack([crop420(frames[first + step * i], top, left) for i in range(SEQUENCE_FRAMES)])
        luma = sequence[:, : CROP * CROP].astype(np.int16)
        change = np.abs(np.diff(luma, axis=0)).mean(1)
        if change.max() > 28 or luma.std() < 8 or (change.max() < 0.25 and random.random() < 0.8):
            continue
        yield sequence
        made += 1
        if made == count:
            return


def photo_sequences(material: Material, count: int, random: np.random.Generator) -> Iterator[Bytes]:
    """*count* sequences of a camera moving over a photo."""
    original = cv2.imread(str(material.path), cv2.IMREAD_COLOR)
    if original is None or min(original.shape[:2]) < 400:
        return
    for _ in range(count):
        short_side = random.uniform(380, min(1000, min(original.shape[:2])))
        scale = short_side / min(original.shape[:2])
        photo = cv2.resize(original, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        yield _moving_camera(photo, random)


def _camera_path(random: np.random.Generator, speed: float) -> Floats:
    """Affine matrices `[T, 2, 3]` about the crop's centre along a smooth path."""
    steps = np.arange(SEQUENCE_FRAMES)
    velocity = random.normal(0, 1, 2)
    velocity *= speed / max(1e-6, float(np.linalg.norm(velocity)))
    bend = random.normal(0, 0.15 * speed + 0.02, 2)
    shift = velocity[None] * steps[:, None] + 0.5 * bend[None] * steps[:, None] ** 2
    moves = random.random() < 0.6
    zoom = np.exp(random.normal(0, 0.006 if moves else 0.0) * steps)
    angle = random.normal(0, 0.006 if moves else 0.0) * steps
    matrices = np.zeros((SEQUENCE_FRAMES, 2, 3), np.float32)
    centre = CROP / 2
    for i in steps:
        cos, sin = np.cos(angle[i]) * zoom[i], np.sin(angle[i]) * zoom[i]
        matrices[i] = [
            [cos, -sin, centre - cos * centre + sin * centre + shift[i, 0]],
            [sin, cos, centre - sin * centre - cos * centre + shift[i, 1]],
        ]
    return matrices


def _warped(photo: Bytes, matrix: Floats, origin: tuple[float, float], bend: Floats | None) -> Bytes:
    rows, columns = np.mgrid[0:CROP, 0:CROP].astype(np.float32)
    x = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2] + origin[0]
    y = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2] + origin[1]
    if bend is not None:
        x, y = x + bend[..., 0], y + bend[..., 1]
    remapped: Bytes = cv2.remap(photo, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return remapped


def _moving_camera(photo: Bytes, random: np.random.Generator) -> Bytes:
    height, width = photo.shape[:2]
    speed = float(random.exponential(2.5)) if random.random() < 0.9 else 0.0
    path = _camera_path(random, min(speed, 16.0))
    origin = (random.uniform(0, width - CROP), random.uniform(0, height - CROP))
    layer_path = _camera_path(random, min(float(random.exponential(4.0)), 16.0)) if random.random() < 0.4 else None
    layer_origin = (random.uniform(0, width - CROP), random.uniform(0, height - CROP))
    mask = _blob(random) if layer_path is not None else None
    bend_field = None
    if random.random() < 0.35:
        coarse = random.normal(0, random.uniform(0.2, 0.8), (5, 5, 2)).astype(np.float32)
        bend_field = cv2.resize(coarse, (CROP, CROP), interpolation=cv2.INTER_CUBIC)
    gain = random.normal(0, 0.01) if random.random() < 0.2 else 0.0
    noise = random.uniform(0.3, 3.0) if random.random() < 0.4 else 0.0
    frames = []
    for i in range(SEQUENCE_FRAMES):
        bend = bend_field * i if bend_field is not None else None
        picture: NDArray[Any] = _warped(photo, path[i], origin, bend).astype(np.float32)
        if layer_path is not None and mask is not None:
            front = _warped(photo, layer_path[i], layer_origin, None).astype(np.float32)
            moved = _warped(mask, layer_path[i], (0.0, 0.0), None).astype(np.float32)[..., None] / 255
            picture = picture * (1 - moved) + front * moved
        picture = picture * (1 + gain * i)
        if noise:
            picture = picture + random.normal(0, noise, picture.shape)
        bgr = np.clip(picture, 0, 255).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(bgr, "bgr24").reformat(format="yuv420p")
        frames.append(crop420(frame.to_ndarray().astype(np.uint8), 0, 0))
    return np.stack(frames)


def _blob(random: np.random.Generator) -> Bytes:
    """A soft-edged random shape `[CROP, CROP]`, black at the border so that nothing wraps around."""
    coarse = random.normal(0, 1, (6, 6)).astype(np.float32)
    coarse[0], coarse[-1], coarse[:, 0], coarse[:, -1] = -2, -2, -2, -2
    field = cv2.resize(coarse, (CROP, CROP), interpolation=cv2.INTER_CUBIC)
    mask: Bytes = np.clip((field - 0.2) * 900, 0, 255).astype(np.uint8)
    return mask
