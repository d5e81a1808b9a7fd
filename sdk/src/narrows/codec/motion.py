"""
Motion as a learned latent: hinted by a dense flow of the sources, coded, and turned into a flow again.

The flow stands at a quarter of the resolution, in luma pixels, from the current frame to its reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from narrows.codec.entropy_model import CodedLatents, EntropyModel, SymbolCoder
from narrows.codec.layers import Down, QualityScale, Up, blocks, pack420

FLOW_DIVISOR = 4
MOTION_LATENTS = 48
MOTION_WIDTH = 64
_FLOW_GAIN = 8.0


def warp(picture: Tensor, flow: Tensor, mode: str) -> Tensor:
    """Fetch *picture* `[B, C, H, W]` at each position plus *flow* `[B, 2, H, W]` (x, y in its pixels); edges repeat."""
    height, width = picture.shape[-2:]
    x = (torch.arange(width, dtype=flow.dtype)[None, None, :] + flow[:, 0]) * (2 / max(1, width - 1)) - 1
    y = (torch.arange(height, dtype=flow.dtype)[None, :, None] + flow[:, 1]) * (2 / max(1, height - 1)) - 1
    return F.grid_sample(picture, torch.stack([x, y], -1), mode=mode, padding_mode="border", align_corners=True)


def enlarge_flow(flow: Tensor, factor: int) -> Tensor:
    return F.interpolate(flow, scale_factor=factor, mode="bilinear", align_corners=False)


def warp420(luma: Tensor, chroma: Tensor, flow: Tensor) -> Tensor:
    """Warp both planes (bicubic) by the quarter-resolution *flow*; returns packed planes `[B, 96, H/8, W/8]`."""
    warped_luma = warp(luma, enlarge_flow(flow, 4), "bicubic")
    warped_chroma = warp(chroma, enlarge_flow(flow, 2) * 0.5, "bicubic")
    return pack420(warped_luma, warped_chroma)


@dataclass(frozen=True, slots=True)
class Motion:
    """Decoded motion: *flow* `[B, 2, H/4, W/4]`, *features* `[B, 64, H/8, W/8]` and what was coded."""

    flow: Tensor
    features: Tensor
    coded: CodedLatents


class MotionCodec(nn.Module):
    """Codes the motion between a frame and its reference."""

    def __init__(self) -> None:
        super().__init__()
        width, deep = MOTION_WIDTH, 96
        self.analysis8 = nn.Sequential(nn.Conv2d(64 * 2 + 8, width, 1), blocks(width, 2))
        self.analysis16 = nn.Sequential(Down(width, deep), blocks(deep, 2), nn.Conv2d(deep, MOTION_LATENTS, 1))
        self.synthesis16 = nn.Sequential(nn.Conv2d(MOTION_LATENTS, deep, 1), blocks(deep, 1), Up(deep, width))
        self.synthesis8 = blocks(width, 1)
        self.head = nn.Conv2d(width, 8, 1)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        self.head.weight.data.mul_(0.1)
        self.entropy = EntropyModel(MOTION_LATENTS, width=64, hyper_latents=16, uses_previous=True)
        self.gain = QualityScale(MOTION_LATENTS, 1.0, 1.65)
        self.inverse_gain = QualityScale(MOTION_LATENTS, 1.0, 1 / 1.65)

    def analyse(self, planes: Tensor, reference_luma: Tensor, hint: Tensor, quality: Tensor) -> Tensor:
        """Latents `[B, 48, H/16, W/16]` of the motion from the source *planes* and the *hint* `[B, 2, H/4, W/4]`."""
        hinted = warp(reference_luma, enlarge_flow(hint, 4), "bilinear")
        seen = torch.cat([planes[:, :64], F.pixel_unshuffle(hinted, 8), F.pixel_unshuffle(hint, 2) / _FLOW_GAIN], 1)
        latents: Tensor = self.analysis16(self.analysis8(seen)) * self.gain(quality)
        return latents

    def code(
        self,
        latents: Tensor | None,
        coder: SymbolCoder,
        *,
        quality: Tensor,
        quality_index: Tensor,
        size: tuple[int, int],
        previous: CodedLatents,
    ) -> Motion:
        coded = self.entropy.code(latents, coder, quality_index=quality_index, size=size, previous=previous)
        features = self.synthesis8(self.synthesis16(coded.values * self.inverse_gain(quality)))
        flow = F.pixel_shuffle(self.head(features), 2) * _FLOW_GAIN
        return Motion(flow=flow, features=features, coded=coded)
