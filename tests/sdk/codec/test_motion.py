"""Vectors become symbols and vectors again, and blocks that move as one cost next to nothing."""

from __future__ import annotations

import pytest
import torch
from narrows.codec.condition import Condition
from narrows.codec.entropy_model import RateEstimate
from narrows.codec.motion import MOTION_LATENTS, Hints, Motion, MotionCodec, flow_transform, warp_planes
from torch import Tensor

CONDITION = Condition.of_frame(60, visual=False, distance=4, is_between=True, kin_quality=60)
STILL = torch.zeros(1, 2, 4, 4)


def coded(flows: tuple[Tensor, Tensor], choice: Tensor | None = None) -> tuple[Tensor, Motion]:
    """The latents of *flows* over 32×32 pixels, and what they decode to with networks that learned nothing."""
    torch.manual_seed(0)
    codec = MotionCodec()
    hints = Hints(flows, torch.zeros(1, 1, 4, 4) if choice is None else choice)
    with torch.no_grad():
        latents = codec.analyse(hints, (STILL, STILL), CONDITION)
        motion = codec.code(
            latents,
            RateEstimate(noisy=False),
            condition=CONDITION,
            size=(2, 2),
            forecasts=(STILL, STILL),
            kin=torch.zeros(1, MOTION_LATENTS, 2, 2),
        )
    return latents, motion


def test_the_transform_is_orthonormal() -> None:
    transform = flow_transform()

    assert torch.allclose(transform @ transform.T, torch.eye(16), atol=1e-5)


@pytest.mark.parametrize(("side", "most"), [(2, 1), (1, 4)])
def test_what_moves_as_one_costs_few_symbols(side: int, most: int) -> None:
    """A block of 16 or 8 pixels in a still picture, seen from both references alike, moving to the right."""
    flow = STILL.clone()
    flow[:, 0, :side, :side] = 3

    latents, _ = coded((flow, flow))

    assert int((latents[..., 0, 0].abs() > 1e-5).sum()) == most
    assert not latents[..., 1, 1].abs().gt(1e-5).any()


def test_vectors_come_back_within_a_fraction_of_a_pixel() -> None:
    flows = torch.randn(1, 2, 4, 4) * 5, torch.randn(1, 2, 4, 4) * 5

    _, motion = coded(flows)

    for flow, decoded in zip(flows, motion.flows, strict=True):
        assert float((flow - decoded).square().mean().sqrt()) < 0.5


def test_where_one_reference_is_chosen_nothing_of_the_other_is_blended() -> None:
    choice = torch.zeros(1, 1, 4, 4)
    choice[..., 0, 0], choice[..., 2, 3] = -1, 1

    _, motion = coded((STILL, STILL), choice)

    assert motion.mask[0, 0, :2, :2].eq(0).all()
    assert motion.mask[0, 0, 4:6, 6:].eq(1).all()
    assert motion.mask[0, 0, 2:4, :2].eq(0.5).all()


def test_an_edge_of_motion_is_an_edge_in_what_is_fetched() -> None:
    luma = torch.arange(32.0).expand(1, 1, 32, 32) / 64
    flow = STILL.clone()
    flow[:, 0, :, 2:] = -8

    fetched, _ = warp_planes(luma, luma[..., ::2, ::2].expand(-1, 2, -1, -1), flow)

    assert torch.allclose(fetched[..., :16], luma[..., :16], atol=1e-4)
    assert torch.allclose(fetched[..., 16:], luma[..., 8:24], atol=1e-4)
