"""
Motion: vectors of small blocks that the encoder searched, transformed, coded, and turned into flows again.

A frame has two flows, one to each of its references, and a mask that blends what they fetch. Flows have a vector for
each block of 8×8 luma pixels, from the current frame to the reference. What is coded is the difference from a forecast:
the motion that the references themselves had, carried on at the same speed; and for each block whether both references
are blended, or one is taken alone, as where the other doesn't show what is there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from narrows.codec.condition import Condition
from narrows.codec.entropy_model import EntropyModel, SymbolCoder
from narrows.codec.layers import QualityScale, Stage, Up, in_full_precision, pack420

FLOW_DIVISOR = 8
"""
Luma pixels along each side of a block with vectors of its own. Blocks of 4 predict 0.7 to 2 dB better and still need 1
to 6 % more bytes, at all rates: their vectors cost more than they save.
"""
_BLOCK_SIDE = 2
"""Vectors along each side of the 16×16 pixels that a latent covers."""
_VECTOR_LATENTS = 4 * _BLOCK_SIDE**2
"""As many as the two flows have components in a block: their transform is orthonormal."""
_CHOICES = 4
"""Of the four blocks of 8×8 pixels."""
MOTION_LATENTS = _VECTOR_LATENTS + _CHOICES
MOTION_WIDTH = 64
_MOTION_WIDTH16 = 96
STEP_LOWEST, STEP_HIGHEST = 1.0, 0.2
"""
Quantisation steps of the transform at quality 0 and `QUALITY_MAX`; 2√2 times the vector of a block that moves as one is
one unit.

Not learned: what a step costs in prediction is no smooth function of it, and training drove them to twice of what was
best (MS-SSIM at equal bytes on a detailed clip: 10 % of the rate).
"""
_MASKS = 4
"""The mask stands at a quarter of the resolution: four samples in a block."""


def warp(picture: Tensor, flow: Tensor, mode: str) -> Tensor:
    """Fetch *picture* `[B, C, H, W]` at each position plus *flow* `[B, 2, H, W]` (x, y in its pixels); edges repeat."""
    return _fetched(picture, _in_grid_units(flow, picture), mode)


def _in_grid_units(flow: Tensor, picture: Tensor, scale: float = 1.0) -> Tensor:
    """*flow*, in *scale* pixels of *picture*, as `grid_sample` counts them: from −1 to 1 over the picture."""
    height, width = picture.shape[-2:]
    return torch.cat([flow[:, :1] * (2 * scale / max(1, width - 1)), flow[:, 1:] * (2 * scale / max(1, height - 1))], 1)


def _fetched(picture: Tensor, flow: Tensor, mode: str) -> Tensor:
    """`warp` by a *flow* in the units of `grid_sample`. The grid stays planar: interleaving is slow."""
    height, width = picture.shape[-2:]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device) * (2 / max(1, width - 1)) - 1
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] * (2 / max(1, height - 1)) - 1
    grid = torch.cat([flow[:, :1] + x, flow[:, 1:] + y], 1).permute(0, 2, 3, 1)
    return F.grid_sample(picture, grid, mode=mode, padding_mode="border", align_corners=True)


def enlarge(mask: Tensor, factor: int) -> Tensor:
    """A quarter-resolution *mask* at *factor* times its size, smoothly."""
    return F.interpolate(mask, scale_factor=factor, mode="bilinear", align_corners=False)


def _repeated(flow: Tensor, factor: int) -> Tensor:
    """
    *flow* at *factor* times its size, each vector for a whole block.

    A vector between those of two objects belongs to neither: interpolated flows predict 1 to 3 dB worse.
    """
    return F.interpolate(flow, scale_factor=factor, mode="nearest")


def warp_planes(luma: Tensor, chroma: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Warp both planes (bicubic) by the *flow* of their blocks."""
    return (
        _fetched(luma, _repeated(_in_grid_units(flow, luma), FLOW_DIVISOR), "bicubic"),
        _fetched(chroma, _repeated(_in_grid_units(flow, chroma, 0.5), FLOW_DIVISOR // 2), "bicubic"),
    )


def warp_all(luma: Tensor, chroma: Tensor, features: Tensor, flow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`warp_planes`, and the *features* `[B, C, H/8, W/8]` with them (bilinear)."""
    return *warp_planes(luma, chroma, flow), warp(features, flow / FLOW_DIVISOR, "bilinear")


def warp420(luma: Tensor, chroma: Tensor, flow: Tensor) -> Tensor:
    """`warp_planes`, packed `[B, 96, H/8, W/8]`."""
    return pack420(*warp_planes(luma, chroma, flow))


def flow_transform() -> Tensor:
    """
    The orthonormal transform `[16, 16]` of the four vectors of both flows in 16×16 pixels: rows are what is coded.

    A Haar transform of the sum and of the difference of the two, in x and in y: three of four coefficients are zero
    where 16 pixels move as one. Opposite flows, as between two references, leave the sum empty, equal ones the
    difference.
    """
    pair = torch.tensor([[1, 1], [1, -1]]).double() / math.sqrt(2)
    butterfly = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, -1, 0], [0, 1, 0, -1]]).double() / math.sqrt(2)
    return torch.kron(butterfly, torch.kron(pair, pair)).float()


@dataclass(frozen=True, slots=True)
class Hints:
    """
    What the encoder found: flows to both references `[B, 2, H/8, W/8]`, and *choice* `[B, 1, H/8, W/8]`, which is −1
    where the first reference is taken alone, 1 where the second is, 0 where both are blended.
    """

    flows: tuple[Tensor, Tensor]
    choice: Tensor

    def to(self, device: torch.device | str) -> Hints:
        first, second = self.flows
        return Hints((first.to(device), second.to(device)), self.choice.to(device))


@dataclass(frozen=True, slots=True)
class Motion:
    """
    Decoded motion: *flows* to both references `[B, 2, H/8, W/8]` each, *mask* `[B, 1, H/4, W/4]` (the second
    reference's share, 0..1), *features* `[B, 64, H/8, W/8]` and the coded *symbols*.
    """

    flows: tuple[Tensor, Tensor]
    mask: Tensor
    features: Tensor
    symbols: Tensor


class MotionCodec(nn.Module):
    """Codes the motion between a frame and its two references: the encoder's vectors, finely rounded."""

    transform: Tensor

    def __init__(self) -> None:
        super().__init__()
        width, deep = MOTION_WIDTH, _MOTION_WIDTH16
        self.synthesis16 = Stage(nn.Conv2d(MOTION_LATENTS, deep, 1), deep, 1, Up(deep, width))
        self.synthesis8 = Stage(nn.Identity(), width, 1)
        self.head = nn.Conv2d(width, _MASKS, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        self.register_buffer("transform", flow_transform()[:, :, None, None], persistent=False)
        self.entropy = EntropyModel(MOTION_LATENTS, width=64, hyper_latents=16, has_kin=True, details=_CHOICES)
        self.step = QualityScale(_VECTOR_LATENTS, STEP_LOWEST, STEP_HIGHEST).requires_grad_(False)

    def analyse(self, hints: Hints, forecasts: tuple[Tensor, Tensor], condition: Condition) -> Tensor:
        """Latents `[B, 20, H/16, W/16]` of *hints* beyond *forecasts*, flows `[B, 2, H/8, W/8]`."""
        surprise = F.pixel_unshuffle(torch.cat(hints.flows, 1) - torch.cat(forecasts, 1), _BLOCK_SIDE)
        with in_full_precision(surprise.device):
            vectors = F.conv2d(surprise, self.transform) / self.step(condition)
        return torch.cat([vectors, F.pixel_unshuffle(hints.choice, 2)], 1)

    def code(
        self,
        latents: Tensor | None,
        coder: SymbolCoder,
        *,
        condition: Condition,
        size: tuple[int, int],
        forecasts: tuple[Tensor, Tensor],
        kin: Tensor,
    ) -> Motion:
        coded = self.entropy.code(latents, coder, condition=condition, size=size, kin=kin)
        first, second, mask, features = self.synthesise(coded.values, *forecasts, condition)
        return Motion(flows=(first, second), mask=mask, features=features, symbols=coded.symbols)

    def synthesise(
        self, values: Tensor, forecast: Tensor, other_forecast: Tensor, condition: Condition
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Both flows, mask and features of the decoded latents."""
        vectors, choices = torch.split(values, [_VECTOR_LATENTS, _CHOICES], 1)
        vectors = vectors * self.step(condition)
        with in_full_precision(vectors.device):
            blocks = F.pixel_shuffle(F.conv_transpose2d(vectors.float(), self.transform), _BLOCK_SIDE)
        choice = _repeated(F.pixel_shuffle(choices, 2), 2)
        features = self.synthesis8(self.synthesis16(torch.cat([vectors, choices], 1), condition), condition)
        share = torch.sigmoid(4 * F.pixel_shuffle(self.head(features), 2))
        return (
            forecast + blocks[:, :2],
            other_forecast + blocks[:, 2:],
            torch.where(choice == 0, share, (choice > 0).to(share.dtype)),
            features,
        )


def keep_choices(latents: Tensor, chosen: Tensor) -> Tensor:
    """*latents* with the choices of *chosen*, which have no gradient that could improve them."""
    return torch.cat([latents[:, :_VECTOR_LATENTS], chosen[:, _VECTOR_LATENTS:]], 1)


def forecast(velocities: Sequence[Tensor | None], frames: int, like: Tensor) -> Tensor:
    """
    Flow over *frames* (negative: into the past) at the references' speed, zero where none of them moved.

    *velocities* are per frame `[B, 2, H/8, W/8]`, None for an intra frame; *like* gives the shape.
    """
    known = [v for v in velocities if v is not None]
    if not known:
        return torch.zeros_like(like)
    return torch.stack(known).mean(0) * frames


def mean_velocity(motion: Motion, offsets: tuple[int, int]) -> Tensor:
    """Pixels per frame, from the flows over *offsets* frames."""
    first, second = motion.flows
    return (first / offsets[0] + second / offsets[1]) / 2
