"""Packing, padding and the shapes between the networks."""

from __future__ import annotations

import torch
from narrows.codec.condition import Condition
from narrows.codec.layers import PLANES, Block, LinearPath, pack420, pad_to_multiple, unpack420
from narrows.codec.model import Model, Neighbours
from torch.utils.flop_counter import FlopCounterMode


def test_packing_loses_nothing() -> None:
    luma, chroma = torch.rand(2, 1, 32, 48), torch.rand(2, 2, 16, 24)

    packed = pack420(luma, chroma)

    assert packed.shape == (2, PLANES, 4, 6)
    assert torch.equal(unpack420(packed)[0], luma)
    assert torch.equal(unpack420(packed)[1], chroma)


def test_padding_repeats_the_edge() -> None:
    padded = pad_to_multiple(torch.arange(6.0).view(1, 1, 2, 3), 4)

    assert padded.shape == (1, 1, 4, 4)
    assert padded[0, 0, 3].tolist() == [3, 4, 5, 5]


def test_a_linear_path_from_an_orthonormal_basis_is_lossless() -> None:
    basis = torch.linalg.qr(torch.randn(384, 384))[0]
    path = LinearPath(384)
    path.start_from(basis.T, basis, torch.ones(384))
    planes = torch.rand(1, PLANES, 4, 4)

    with torch.no_grad():
        assert torch.allclose(path.synthesis(path.analysis(planes)), planes, atol=1e-4)


def test_an_inter_frame_decodes_within_six_thousand_macs_per_pixel() -> None:
    class Zeros:
        def code(self, wanted: torch.Tensor | None, scales: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
            return torch.zeros_like(scales)

    height, width = 128, 192
    size = (height // 16, width // 16)
    model, zeros = Model(), Zeros()
    alone = Condition.of_frame(60, visual=True)
    with torch.no_grad():
        before, after = (
            model.inter.adopt(model.intra.code(None, zeros, condition=alone, size=size), alone) for _ in range(2)
        )
        condition = Condition.of_frame(60, visual=True, distance=1, is_between=True, kin_quality=60)
        neighbours = Neighbours(before, after, (-1, 1), after)
        with FlopCounterMode(display=False) as counter:
            prediction = model.inter.predict(None, neighbours, zeros, condition=condition, size=size)
            model.inter.code(None, prediction, neighbours, zeros, condition=condition, size=size)

    # The counter knows convolutions; bicubic warping takes 16 more per sample, 1.5 samples a pixel, 2 references, and
    # the bilinear one of 96 features at 1/64 of the pixels 4.
    warping = 16 * 1.5 * 2 + 4 * 96 / 64 * 2
    macs_per_pixel = counter.get_total_flops() / 2 / (height * width) + warping
    assert 3000 < macs_per_pixel <= 6000


def test_a_block_starts_as_the_identity_and_its_units_still_learn() -> None:
    block = Block(8)
    x = -torch.rand(1, 8, 4, 4) - 1

    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.narrow.weight.grad is not None
    assert bool((block.narrow.weight.grad.flatten(1).norm(dim=0) > 0).all()), "a unit that nothing reaches"
