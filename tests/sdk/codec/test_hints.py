"""What the encoder finds out about motion: exact where objects end, and no more of it than pays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from narrows.codec.hints import Bytes, MotionSearch, Target, fine_search
from narrows.options import Preset

SIDE = 96
DEAR, CHEAP = 1e9, 20.0


def a_texture(seed: int, side: int = SIDE) -> Bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    stretched: Bytes = cv2.normalize(smooth, None, 16, 235, cv2.NORM_MINMAX).astype(np.uint8)
    return stretched


def a_scene(left: int) -> Bytes:
    """A square of 32 pixels, *left* pixels from the left, before a still background."""
    scene = a_texture(1).copy()
    scene[32:64, left : left + 32] = a_texture(2, 32)
    return scene


def target(picture: Bytes, forecast: float = 0.0) -> Target:
    return Target(picture, picture, torch.full((1, 2, SIDE // 8, SIDE // 8), forecast))


@pytest.mark.parametrize("preset", [Preset.MEDIUM, Preset.SLOW])
def test_an_object_moves_up_to_its_edge_and_the_ground_behind_it_stands_still(preset: Preset) -> None:
    current, before = a_scene(32), a_scene(25)

    hints = MotionSearch(preset).hints(current, target(before), None, bit_error=CHEAP)
    flow = hints.flows[0]

    assert torch.allclose(flow[0, 0, 4:8, 4:8], torch.tensor(-7.0), atol=0.15)
    assert torch.allclose(flow[0, 0, :, 10:], torch.tensor(0.0), atol=0.15)
    assert not hints.choice.any()


@pytest.mark.parametrize("left", [22, 25])
def test_vectors_of_blocks_predict_better_than_a_dense_flow(left: int) -> None:
    """A square that moved 10 pixels neither finds; one that moved 7 the blocks find exactly."""
    current, before = a_scene(32), a_scene(left)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)

    def missed(flow: np.ndarray) -> np.ndarray:
        fetched = cv2.remap(
            before, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        squares: np.ndarray = np.square(fetched.astype(np.float32) - current)
        return squares

    found = MotionSearch(Preset.MEDIUM).hints(current, target(before), None, bit_error=CHEAP).flows[0]
    blocks = missed(found[0].permute(1, 2, 0).numpy().repeat(8, 0).repeat(8, 1))
    dense = missed(fine_search().calc(current, before, None))

    assert blocks.mean() < dense.mean()
    if left == 25:
        blocks[32:64, 24:32] = dense[32:64, 24:32] = 0  # What only now comes into sight nobody can fetch.
        assert blocks.mean() < 0.1 < dense.mean() / 2


def test_where_bits_are_dear_the_forecast_stays() -> None:
    found = MotionSearch(Preset.MEDIUM).hints(a_scene(32), target(a_scene(25), 0.75), None, bit_error=DEAR)

    assert torch.equal(found.flows[0], torch.full_like(found.flows[0], 0.75))


def test_what_only_one_reference_shows_is_taken_from_it_alone() -> None:
    current, hidden = a_scene(32), a_scene(32)
    hidden[:, 64:] = 128

    seen_after = MotionSearch(Preset.MEDIUM).hints(current, target(hidden), target(current), bit_error=CHEAP)
    seen_before = MotionSearch(Preset.MEDIUM).hints(current, target(current), target(hidden), bit_error=CHEAP)

    assert seen_after.choice[..., 9:].eq(1).all()
    assert seen_before.choice[..., 9:].eq(-1).all()
    assert seen_after.choice[..., :7].eq(0).all()


def test_pictures_too_small_for_a_dense_search_are_searched_all_the_same() -> None:
    current, before = a_texture(3, 48), np.roll(a_texture(3, 48), -2, axis=1)
    forecast = torch.zeros(1, 2, 6, 6)

    found = MotionSearch(Preset.MEDIUM).hints(current, Target(before, before, forecast), None, bit_error=CHEAP)

    assert float(found.flows[0][0, 0].median()) == pytest.approx(-2, abs=0.1)
