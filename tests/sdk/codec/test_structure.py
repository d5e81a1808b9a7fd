"""MS-SSIM: libvmaf's figures, and gradients."""

from __future__ import annotations

import pytest
import torch
from narrows.codec.structure import SIDE_MIN, ms_ssim


def a_texture(side: int = SIDE_MIN) -> torch.Tensor:
    """Waves of several lengths in 0..1, `[1, 1, side, side]`."""
    y, x = torch.meshgrid(torch.arange(side) / 7, torch.arange(side) / 5, indexing="ij")
    return (0.5 + 0.2 * torch.sin(x) * torch.cos(y) + 0.2 * torch.sin(x * y / 9))[None, None]


def test_a_picture_is_like_itself() -> None:
    assert float(ms_ssim(a_texture(), a_texture())) == pytest.approx(1, abs=1e-5)


def test_more_noise_is_less_similar_whatever_the_size() -> None:
    for side in (SIDE_MIN, SIDE_MIN + 17):
        target = a_texture(side)
        noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(1))
        similar, less, least = (float(ms_ssim(target + part * noise, target)) for part in (0.01, 0.05, 0.2))
        assert 1 > similar > less > least > 0


def test_half_the_precision_around_it_changes_nothing() -> None:
    target = a_texture()
    with torch.autocast("cpu", torch.bfloat16):
        inside = ms_ssim(target + 0.02, target)

    assert torch.equal(inside, ms_ssim(target + 0.02, target))


def test_its_gradient_leads_to_the_target() -> None:
    target = a_texture()
    picture = (0.9 * target + 0.05).requires_grad_(True)

    before = ms_ssim(picture, target)
    before.sum().backward()  # type: ignore[no-untyped-call]

    assert picture.grad is not None
    with torch.no_grad():
        closer = picture + 0.005 * picture.grad / picture.grad.abs().max()
        assert float(ms_ssim(closer, target)) > float(before)
