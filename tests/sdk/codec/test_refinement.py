"""Latents get better for one frame, and the decoder does not notice."""

from __future__ import annotations

import pytest
import torch
from narrows.codec.condition import Condition
from narrows.codec.entropy_model import SymbolCoder
from narrows.codec.range_coder import StreamWriter
from narrows.codec.reference import Reference
from narrows.codec.refinement import cost, refine, smooth_round
from narrows.codec.weights import shipped_model

from ..builders import a_picture


def test_smooth_rounding_lies_between_the_value_and_its_rounding() -> None:
    x = torch.linspace(-3, 3, 101)

    assert torch.allclose(smooth_round(x, 0.01), x, atol=1e-3)
    assert torch.allclose(smooth_round(x, 200.0), torch.round(x), atol=0.51)
    assert torch.allclose(smooth_round(torch.tensor([1.9, -0.6]), 200.0), torch.tensor([2.0, -1.0]))


@pytest.mark.parametrize("is_visual", [False, True])
def test_refined_latents_cost_less(is_visual: bool) -> None:
    model = shipped_model()
    planes = a_picture(192, 192).to_planes()
    condition = Condition.of_frame(70, visual=is_visual)

    def code(latents: torch.Tensor, coder: SymbolCoder) -> Reference:
        return model.networks.intra.code(latents, coder, condition=condition, size=(12, 12))

    def cost_of(latents: torch.Tensor) -> float:
        writer = StreamWriter(model.tables)
        reference = code(latents, writer)
        return float(cost(8 * len(writer.to_bytes()), reference.planes, planes, condition))

    with torch.no_grad():
        latents = model.networks.intra.analyse(planes, condition)
        refined = refine(latents, code, planes, condition, steps=8)
        assert cost_of(refined) < cost_of(latents)
