"""
The building blocks of the networks: few, wide 1×1 layers and depthwise 3×3, at 1/8 and 1/16 of the resolution.

Shapes are `[B, C, H, W]` throughout. Pictures are packed from 4:2:0 into 96 planes at 1/8 resolution.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from narrows.codec.condition import Condition, Modulation

PLANES = 96
"""64 luma, 16 Cb and 16 Cr samples of each 8×8 block."""
BLOCK_SAMPLES = PLANES * 4
"""Samples of one 16×16 block: 256 luma and 128 chroma."""
SPREAD_LEAST = 0.03
"""About one quantisation step at a middling quality."""
LEAK = 0.1
"""Slope of the activation below zero."""
PICTURE_MULTIPLE = 16
"""Pictures are padded to a multiple of this: one latent covers 16×16 pixels."""


def pack420(luma: Tensor, chroma: Tensor) -> Tensor:
    """Planes `[B, 1, H, W]` and `[B, 2, H/2, W/2]` → `[B, 96, H/8, W/8]`."""
    return torch.cat([F.pixel_unshuffle(luma, 8), F.pixel_unshuffle(chroma, 4)], 1)


def unpack420(planes: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `pack420`."""
    return F.pixel_shuffle(planes[:, :64], 8), F.pixel_shuffle(planes[:, 64:], 4)


def round_through(x: Tensor) -> Tensor:
    """Round; in training the gradient passes as if nothing had happened (straight-through estimator)."""
    if not torch.is_grad_enabled():
        return torch.round(x)
    return x + (torch.round(x) - x).detach()


class _LowerBound(torch.autograd.Function):
    """`max(x, bound)` whose gradient may still push *x* up when it is below (Ballé et al., 2018)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        (gradient,) = gradients
        return gradient * ((x >= ctx.bound) | (gradient < 0)), None


def lower_bound(x: Tensor, bound: float) -> Tensor:
    """`max(x, bound)` with a gradient that can leave the bound."""
    bounded: Tensor = _LowerBound.apply(x, bound)  # type: ignore[no-untyped-call]
    return bounded


def in_full_precision(device: torch.device) -> AbstractContextManager[None]:
    """A stretch in which nothing on *device* is computed in fewer bits than its tensors have."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


class FullConv(nn.Conv2d):
    """
    A convolution that stays in float32 where training lets others run in bfloat16.

    For sums whose size is far above the step that they are rounded with: means, and the linear paths.
    """

    def forward(self, x: Tensor) -> Tensor:
        with in_full_precision(x.device):
            return super().forward(x.float())


class Block(nn.Module):
    """
    `x + p2(leaky(p1(depthwise 3×3(x))))`, widths C → *hidden* → C; *hidden* is 2C where nothing else is said.

    It starts as the identity, without constants of its own, and its units can't die: with plain ReLU and random biases
    that were larger than the signals, training switched every unit off and left a linear codec.
    """

    def __init__(self, width: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = 2 * width if hidden is None else hidden
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.widen = nn.Conv2d(width, hidden, 1)
        self.narrow = nn.Conv2d(hidden, width, 1)
        nn.init.normal_(self.depthwise.weight, std=0.1)
        self.depthwise.weight.data[:, :, 1, 1] += 0.9
        nn.init.normal_(self.widen.weight, std=(2 / width) ** 0.5)
        nn.init.zeros_(self.narrow.weight)
        for layer in (self.depthwise, self.widen, self.narrow):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.narrow(F.leaky_relu(self.widen(self.depthwise(x)), LEAK))
        return x + residual


def blocks(width: int, count: int, hidden: int | None = None) -> nn.Sequential:
    return nn.Sequential(*[Block(width, hidden) for _ in range(count)])


class Stage(nn.Module):
    """*entry*, then blocks at its width, all under the frame's condition, then *leave*."""

    def __init__(
        self, entry: nn.Module, width: int, count: int, leave: nn.Module | None = None, *, hidden: int | None = None
    ) -> None:
        super().__init__()
        self.entry = entry
        self.modulation = Modulation(width)
        self.blocks = blocks(width, count, hidden)
        self.leave = leave if leave is not None else nn.Identity()

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        left: Tensor = self.leave(self.blocks(self.modulation(self.entry(x), condition)))
        return left


class Down(nn.Module):
    """Halve the resolution: 2×2 pixels to channels, then 1×1."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(4 * width_in, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(F.pixel_unshuffle(x, 2))
        return mixed


class Up(nn.Module):
    """Double the resolution: 1×1, then channels to 2×2 pixels."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width_in, 4 * width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.mix(x), 2)


class LinearPath(nn.Module):
    """
    One linear layer each way on 16×16 blocks, started from a Karhunen–Loève transform of the training data.

    *spread* `[1, C, 1, 1]` is how far each latent usually lies from zero: networks see and give latents in this unit.
    """

    spread: Tensor

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.analyse = FullConv(BLOCK_SAMPLES, latents, 1, bias=False)
        self.synthesise = FullConv(latents, BLOCK_SAMPLES, 1, bias=False)
        self.register_buffer("spread", torch.full((1, latents, 1, 1), SPREAD_LEAST))

    def analysis(self, planes: Tensor) -> Tensor:
        latents: Tensor = self.analyse(F.pixel_unshuffle(planes, 2))
        return latents

    def synthesis(self, latents: Tensor) -> Tensor:
        return F.pixel_shuffle(self.synthesise(latents), 2)

    @torch.no_grad()
    def start_from(self, analysis: Tensor, synthesis: Tensor, deviations: Tensor) -> None:
        """Load a basis: rows of *analysis* `[latents, 384]`, columns of *synthesis* `[384, latents]`, *deviations*."""
        self.spread.copy_(SPREAD_LEAST + deviations[None, :, None, None])
        self.analyse.weight.copy_(analysis[:, :, None, None])
        self.synthesise.weight.copy_(synthesis[:, :, None, None])


class QualityScale(nn.Module):
    """A factor per channel, interpolated in log between two learned ends by the quality; each tune has its own ends."""

    def __init__(self, width: int, at_lowest: float, at_highest: float) -> None:
        super().__init__()
        self.log_lowest = nn.Parameter(torch.full((1, width, 1, 1), math.log(at_lowest)))
        self.log_highest = nn.Parameter(torch.full((1, width, 1, 1), math.log(at_highest)))
        self.visual_lowest = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.visual_highest = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, condition: Condition) -> Tensor:
        visual, quality = (x.to(self.log_lowest.device) for x in (condition.visual, condition.quality))
        lowest = self.log_lowest + visual * self.visual_lowest
        highest = self.log_highest + visual * self.visual_highest
        return torch.exp(lowest + (highest - lowest) * quality)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the right and bottom edge until both sides are multiples of *multiple*."""
    height, width = x.shape[-2:]
    if height % multiple == 0 and width % multiple == 0:
        return x
    return F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")
