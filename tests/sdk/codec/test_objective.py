"""What a bit is worth, and what each tune minds."""

from __future__ import annotations

import pytest
import torch
from narrows.codec.condition import QUALITY_MAX
from narrows.codec.objective import (
    LAMBDA_HIGHEST,
    LAMBDA_LOWEST,
    distortion,
    squared_error,
    structural_error,
    trade_off,
)


def test_lambda_is_spaced_in_log_between_its_ends() -> None:
    ends = trade_off(torch.tensor([0.0, QUALITY_MAX / 2, QUALITY_MAX]))

    assert ends.tolist() == pytest.approx([LAMBDA_LOWEST, (LAMBDA_LOWEST * LAMBDA_HIGHEST) ** 0.5, LAMBDA_HIGHEST])


def test_squared_error_weighs_luma_and_chroma_six_to_one_to_one() -> None:
    target = torch.zeros(1, 96, 2, 2)
    luma, chroma = target.clone(), target.clone()
    luma[:, :64] = 1
    chroma[:, 64:80] = 1

    assert float(squared_error(luma, target)) == pytest.approx(6 / 8)
    assert float(squared_error(chroma, target)) == pytest.approx(1 / 8)


def test_the_visual_tune_minds_structure_and_fidelity_does_not_know_it() -> None:
    random = torch.Generator().manual_seed(1)
    target = (torch.rand(2, 96, 24, 24, generator=random) - 0.5) / 4
    brighter, noisy = target + 0.05, target + 0.05 * torch.sign(torch.randn(target.shape, generator=random))
    tunes = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)

    plain, visual = distortion(brighter, target, tunes) / distortion(noisy, target, tunes)

    assert float(plain) == pytest.approx(1, rel=1e-4)
    assert float(visual) < 0.5
    assert float(structural_error(target, target).abs().max()) < 1e-5
