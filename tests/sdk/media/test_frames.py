"""Frames of every kind become pictures, or an error that says what to do."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from narrows.errors import VideoError
from narrows.media.frames import to_frame, to_picture, to_rgb
from numpy.typing import NDArray

from ..builders import a_picture

SIDES = st.integers(16, 80)


def solid(*rgb: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    return np.full((height, width, 3), rgb, np.uint8)


@given(width=SIDES, height=SIDES)
@settings(max_examples=30)
def test_a_picture_becomes_a_frame_and_back_at_any_size(width: int, height: int) -> None:
    picture = a_picture(width, height)
    back = to_picture(to_frame(picture))

    assert back.to_bytes() == picture.to_bytes()


@given(width=SIDES, height=SIDES)
@settings(max_examples=15)
def test_the_same_rgb_is_the_same_picture_from_numpy_torch_and_pyav(width: int, height: int) -> None:
    array = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    tensor = torch.from_numpy(array)
    expected = to_picture(array).to_bytes()

    assert to_picture(tensor).to_bytes() == expected
    assert to_picture(tensor.permute(2, 0, 1)).to_bytes() == expected
    assert to_picture(av.VideoFrame.from_ndarray(array, format="rgb24")).to_bytes() == expected


@pytest.mark.parametrize("rgb", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (120, 130, 140)])
def test_colours_survive_the_way_to_bt709_and_back(rgb: tuple[int, int, int]) -> None:
    back = to_rgb(to_picture(solid(*rgb)))

    assert np.abs(back.astype(int) - np.array(rgb)).max() <= 4


def test_three_planes_are_taken_as_they_are() -> None:
    picture = a_picture(33, 17)

    assert to_picture((picture.luma, torch.from_numpy(picture.cb), picture.cr)).to_bytes() == picture.to_bytes()


@pytest.mark.parametrize(
    ("name", "level", "expected"),
    [
        ("yuv420p10le", 400, 100),
        ("yuv422p10le", 400, 100),
        ("yuv444p12le", 1600, 100),
        ("yuv422p", 100, 100),
        ("yuv444p", 100, 100),
        ("yuvj422p", 100, 100),
        ("gray", 100, 100),
    ],
)
def test_other_formats_are_converted_with_a_notice(name: str, level: int, expected: int) -> None:
    frame = av.VideoFrame(64, 48, name)
    for plane in frame.planes:
        width = 2 if level > 255 else 1
        plane.update(level.to_bytes(width, "little") * (plane.buffer_size // width))
    notices: list[str] = []

    picture = to_picture(frame, notices.append)

    assert np.abs(picture.luma.astype(int) - expected).max() <= 1
    assert len(notices) == 1
    assert name in notices[0]


def test_alpha_is_dropped_with_a_notice() -> None:
    notices: list[str] = []
    to_picture(av.VideoFrame(64, 48, "rgba"), notices.append)

    assert "alpha is dropped" in notices[0]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (np.zeros((48, 64, 3), np.float32), "uint8"),
        (np.zeros((48, 64), np.uint8), "no RGB picture"),
        (np.zeros((48, 64, 4), np.uint8), "no RGB picture"),
        ((np.zeros((48, 64), np.uint8), np.zeros((48, 64), np.uint8)), "three of them"),
        (tuple(np.zeros((48, 64), np.uint8) for _ in range(3)), "32×24"),
        (np.zeros((8, 8, 3), np.uint8), "8×8"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(frame: object, reason: str) -> None:
    with pytest.raises(VideoError, match=reason):
        to_picture(frame)  # type: ignore[arg-type]


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused(transfer: int, name: str) -> None:
    frame = av.VideoFrame(64, 48, "yuv420p10le")
    frame.color_trc = transfer
    with pytest.raises(VideoError, match=rf"{name}.*tone-map"):
        to_picture(frame)
