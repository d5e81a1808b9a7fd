"""
Motion as a learned latent: hinted by dense flows of the sources, coded, and turned into flows again.

A frame has two flows, one to each of its references, and a mask that blends what they fetch. Flows stand at a quarter
of the resolution, in luma pixels, from the current frame to the reference. What is coded is the difference from a
forecast: the motion that the references themselves had, carried on at the same speed.
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
from narrows.codec.layers import Down, FullConv, QualityScale, Stage, Up, pack420

FLOW_DIVISOR = 4
_BLOCK_SIDE = 4
"""Flow samples along each side of the 16×16 pixels that a latent covers."""
MOTION_LATENTS = 4 * _BLOCK_SIDE**2
"""As many as the two flows have components in a block, so that the linear path can be an orthonormal transform."""
MOTION_WIDTH = 64
_MOTION_WIDTH16 = 96
_FLOW_GAIN = 8.0
STEP_LOWEST, STEP_HIGHEST = 2.5, 0.6
"""Quantisation steps of the linear path; four times the mean flow of a block in luma pixels is one unit."""
_QUIET = 0.02
_HEAD_CHANNELS = 4 * (2 + 2 + 1)
"""Two flows and a mask for each of the four quarter-resolution samples of a position."""


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


def enlarge(field: Tensor, factor: int) -> Tensor:
    """A quarter-resolution *field* at *factor* times its size."""
    return F.interpolate(field, scale_factor=factor, mode="bilinear", align_corners=False)


def warp_planes(luma: Tensor, chroma: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Warp both planes (bicubic) by the quarter-resolution *flow*."""
    return (
        _fetched(luma, enlarge(_in_grid_units(flow, luma), 4), "bicubic"),
        _fetched(chroma, enlarge(_in_grid_units(flow, chroma, 0.5), 2), "bicubic"),
    )


def warp_all(luma: Tensor, chroma: Tensor, features: Tensor, flow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`warp_planes`, and the *features* `[B, C, H/8, W/8]` with them (bilinear)."""
    return *warp_planes(luma, chroma, flow), warp(features, F.avg_pool2d(flow, 2) / 8, "bilinear")


def warp420(luma: Tensor, chroma: Tensor, flow: Tensor) -> Tensor:
    """`warp_planes`, packed `[B, 96, H/8, W/8]`."""
    return pack420(*warp_planes(luma, chroma, flow))


def flow_transform() -> Tensor:
    """
    The orthonormal transform `[64, 64]` of a block of both flows that the linear path starts from.

    A 4×4 DCT-II of the sum and of the difference of the two, in x and in y: opposite flows, as between two
    references, leave the sum empty, equal ones the difference.
    """
    n = _BLOCK_SIDE
    rows = torch.arange(n, dtype=torch.double)
    cosines = torch.cos(math.pi / n * (rows[None] + 0.5) * rows[:, None]) * math.sqrt(2 / n)
    cosines[0] /= math.sqrt(2)
    butterfly = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, -1, 0], [0, 1, 0, -1]]).double() / math.sqrt(2)
    return torch.kron(butterfly, torch.kron(cosines, cosines)).float()


@dataclass(frozen=True, slots=True)
class Motion:
    """
    Decoded motion: *flows* to both references `[B, 2, H/4, W/4]` each, *mask* `[B, 1, H/4, W/4]` (the second
    reference's share, 0..1), *features* `[B, 64, H/8, W/8]` and the coded *symbols*.
    """

    flows: tuple[Tensor, Tensor]
    mask: Tensor
    features: Tensor
    symbols: Tensor


class MotionCodec(nn.Module):
    """Codes the motion between a frame and its two references."""

    def __init__(self) -> None:
        super().__init__()
        width, deep = MOTION_WIDTH, _MOTION_WIDTH16
        self.analysis8 = Stage(nn.Conv2d(64 * 3 + 16, width, 1), width, 2)
        self.analysis16 = Stage(Down(width, deep), deep, 2, nn.Conv2d(deep, MOTION_LATENTS, 1))
        self.synthesis16 = Stage(nn.Conv2d(MOTION_LATENTS, deep, 1), deep, 1, Up(deep, width))
        self.synthesis8 = Stage(nn.Identity(), width, 1)
        self.head = nn.Conv2d(width, _HEAD_CHANNELS, 1)
        self.linear_analysis = FullConv(MOTION_LATENTS, MOTION_LATENTS, 1, bias=False)
        self.linear_synthesis = FullConv(MOTION_LATENTS, MOTION_LATENTS, 1, bias=False)
        transform = flow_transform()
        self.linear_analysis.weight.data.copy_(transform[:, :, None, None])
        self.linear_synthesis.weight.data.copy_(transform.T[:, :, None, None])
        for layer in (self.analysis16.leave, self.head):
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            layer.weight.data.mul_(_QUIET)
            layer.bias.data.zero_()
        self.entropy = EntropyModel(MOTION_LATENTS, width=64, hyper_latents=16, has_kin=True)
        self.gain = QualityScale(MOTION_LATENTS, 1 / STEP_LOWEST, 1 / STEP_HIGHEST)
        self.inverse_gain = QualityScale(MOTION_LATENTS, STEP_LOWEST, STEP_HIGHEST)

    def analyse(
        self,
        planes: Tensor,
        reference_lumas: tuple[Tensor, Tensor],
        hints: tuple[Tensor, Tensor],
        forecasts: tuple[Tensor, Tensor],
        condition: Condition,
    ) -> Tensor:
        """Latents `[B, 64, H/16, W/16]` of the motion from the source *planes*; hints and forecasts are flows."""
        hinted = [
            F.pixel_unshuffle(warp(luma, enlarge(hint, 4), "bilinear"), 8)
            for luma, hint in zip(reference_lumas, hints, strict=True)
        ]
        surprise = torch.cat(hints, 1) - torch.cat(forecasts, 1)
        seen = torch.cat([planes[:, :64], *hinted, F.pixel_unshuffle(surprise, 2) / _FLOW_GAIN], 1)
        detail = self.analysis16(self.analysis8(seen, condition), condition)
        blocks = self.linear_analysis(F.pixel_unshuffle(surprise, _BLOCK_SIDE))
        latents: Tensor = (blocks + detail) * self.gain(condition)
        return latents

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
        values = values * self.inverse_gain(condition)
        features = self.synthesis8(self.synthesis16(values, condition), condition)
        first, second, mask = torch.split(F.pixel_shuffle(self.head(features), 2), [2, 2, 1], 1)
        blocks = F.pixel_shuffle(self.linear_synthesis(values), _BLOCK_SIDE)
        return (
            forecast + blocks[:, :2] + first * _FLOW_GAIN,
            other_forecast + blocks[:, 2:] + second * _FLOW_GAIN,
            torch.sigmoid(4 * mask),
            features,
        )


def forecast(velocities: Sequence[Tensor | None], frames: int, like: Tensor) -> Tensor:
    """
    Flow over *frames* (negative: into the past) at the references' speed, zero where none of them moved.

    *velocities* are per frame `[B, 2, H/4, W/4]`, None for an intra frame; *like* gives the shape.
    """
    known = [v for v in velocities if v is not None]
    if not known:
        return torch.zeros_like(like)
    return torch.stack(known).mean(0) * frames


def mean_velocity(motion: Motion, offsets: tuple[int, int]) -> Tensor:
    """Pixels per frame, from the flows over *offsets* frames."""
    first, second = motion.flows
    return (first / offsets[0] + second / offsets[1]) / 2
