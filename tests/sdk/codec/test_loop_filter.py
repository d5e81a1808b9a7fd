"""The loop filter: nothing at first, and what it learns stays in its place."""

from __future__ import annotations

import torch
from narrows.codec.condition import Condition
from narrows.codec.layers import PLANES, pack420
from narrows.codec.loop_filter import LoopFilter

CONDITION = Condition.of_frame(60, visual=False)


def test_a_fresh_filter_changes_nothing() -> None:
    planes = torch.rand(1, PLANES, 4, 6) - 0.5

    assert torch.equal(pack420(*LoopFilter(16, 2, corrects_chroma=True)(planes, CONDITION)), planes)


def test_a_correction_lands_on_the_samples_that_it_was_made_from() -> None:
    """With a filter that adds what it sees, every sample grows by the same share."""
    torch.manual_seed(0)
    net = LoopFilter(24, 1, corrects_chroma=True)
    with torch.no_grad():
        for layer in (net.stage.entry, net.head):
            assert isinstance(layer, torch.nn.Conv2d) and layer.bias is not None
            layer.weight.copy_(torch.eye(24)[:, :, None, None])
            layer.bias.zero_()
        luma, chroma = torch.rand(1, 1, 32, 48), torch.rand(1, 2, 16, 24)
        grown = net(pack420(luma, chroma), CONDITION)

    assert torch.allclose(grown[0], luma * 1.25, atol=1e-5)
    assert torch.allclose(grown[1], chroma * 1.25, atol=1e-5)


def test_between_frames_chroma_is_left_as_it_is() -> None:
    torch.manual_seed(0)
    net = LoopFilter(24, 1, corrects_chroma=False)
    torch.nn.init.normal_(net.head.weight)
    luma, chroma = torch.rand(1, 1, 32, 48), torch.rand(1, 2, 16, 24)

    with torch.no_grad():
        corrected = net(pack420(luma, chroma), CONDITION)

    assert not torch.allclose(corrected[0], luma, atol=1e-2)
    assert torch.equal(corrected[1], chroma)
