"""
How probable is each latent: hyper-latents, then the latents in two interleaved passes.

Means come from floating-point networks and may use anything the decoder has; a symbol is `round(latent − mean)`, so
an error in a mean moves a pixel by far less than a level and never desynchronises. Scales come from the
integer network alone (`integer.py`). One walk serves training, encoding and decoding: what happens with a symbol is
the coder's business (`SymbolCoder`).

Sources: Ballé et al. 2018 (hyperprior), Minnen et al. 2018 (context), He et al. 2021 (checkerboard).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from narrows.codec.condition import CONDITION_PLANES, Condition
from narrows.codec.integer import IntegerConv, activate, magnitudes, scale_index, signed_parts
from narrows.codec.layers import Block, Down, FullConv, Stage, Up, blocks, lower_bound, pad_to_multiple, round_through

SCALE_COUNT = 64
SCALE_LOWEST = 0.06
SCALE_HIGHEST = 64.0
SCALE_LOG_STEP = math.log(SCALE_HIGHEST / SCALE_LOWEST) / (SCALE_COUNT - 1)
HYPER_MULTIPLE = 4
"""Hyper-latents stand at a quarter of the latents' resolution."""
STEP_GROUP = 4
"""Neighbouring latents that share a quantisation step."""
STEP_LOG_MAX = 1.5
MASK_RUN = 128
"""Latents in a row that the first pass codes at the same places; the next ones are coded at the others."""
UNIT_SCALE = math.log(1.0 / SCALE_LOWEST) / SCALE_LOG_STEP / 4
"""The bias that starts a scale at one."""


class SymbolCoder(Protocol):
    """Takes symbols while encoding or training, gives them while decoding."""

    def code(self, wanted: Tensor | None, scales: Tensor, mask: Tensor | None) -> Tensor:
        """
        Code integer symbols with one scale index each, both `[B, C, H, W]`; where *mask* is zero there are none.

        *wanted* is the unrounded value (None while decoding). Returns the symbols, zero outside the mask.
        """
        ...


@dataclass
class RateEstimate:
    """The coder of the training: counts the bits that noisy symbols would cost (additive uniform noise)."""

    bits: Tensor | None = None
    noisy: bool = True

    def code(self, wanted: Tensor | None, scales: Tensor, mask: Tensor | None) -> Tensor:
        if wanted is None:
            raise ValueError("a rate can only be estimated of known symbols")
        symbols = round_through(wanted)
        value = wanted + torch.empty_like(wanted).uniform_(-0.5, 0.5) if self.noisy else symbols
        sigma = SCALE_LOWEST * torch.exp(SCALE_LOG_STEP * scales)
        bits = symbol_bits(value, sigma)
        if mask is not None:
            symbols, bits = symbols * mask, bits * mask
        total = bits.sum((1, 2, 3))
        self.bits = total if self.bits is None else self.bits + total
        return symbols


def symbol_bits(value: Tensor, sigma: Tensor) -> Tensor:
    """
    Bits of the unit interval around *value* under half a Gaussian and half a Laplacian of deviation *sigma*.

    A Gaussian alone gives far values a probability, and so a gradient, of zero: scales would never learn to expect
    the rare ones that sparse latents consist of.
    """
    magnitude = value.abs()
    low, high = (magnitude - 0.5) / sigma, (magnitude + 0.5) / sigma
    inside = torch.where(low >= 0, upper_tail(low.abs()), 1 - upper_tail(low.abs())) - upper_tail(high)
    return -torch.log2(lower_bound(inside, 1e-9))


def upper_tail(x: Tensor) -> Tensor:
    """Mass above *x* ≥ 0 deviations of the distribution of the symbols."""
    return 0.25 * (torch.erfc(x * math.sqrt(0.5)) + torch.exp(-math.sqrt(2) * x))


class ScaleNetwork(nn.Module):
    """Integer network: hyper-latents, condition, the symbols of the kin and the first pass → scale indices."""

    def __init__(self, latents: int, hyper_latents: int, *, has_kin: bool, width: int = 64) -> None:
        super().__init__()
        self.hyper_scales = IntegerConv(CONDITION_PLANES, hyper_latents, bias=UNIT_SCALE)
        self.hyper_scales.weight.data.zero_()
        self.up1 = IntegerConv(2 * hyper_latents, 4 * 32, bias=0.1)
        self.up2 = IntegerConv(32, 4 * 48, bias=0.1)
        self.kin = IntegerConv(latents, 32, bias=0.1) if has_kin else None
        joined = 48 + CONDITION_PLANES + (32 if has_kin else 0)
        self.join = IntegerConv(joined, width, bias=0.1)
        self.spread = IntegerConv(width, width, depthwise=True)
        self.first_out = IntegerConv(width + CONDITION_PLANES, latents, bias=UNIT_SCALE)
        self.current = IntegerConv(latents, 32, bias=0.1)
        self.second_join = IntegerConv(width + 32, width, bias=0.1)
        self.second_spread = IntegerConv(width, width, depthwise=True)
        self.second_out = IntegerConv(width + CONDITION_PLANES, latents, bias=UNIT_SCALE)
        for out in (self.first_out, self.second_out):
            out.weight.data.mul_(0.3)

    def of_hyper_latents(self, planes: Tensor) -> Tensor:
        """Scale indices of the hyper-latents `[B, Cz, H, W]` from the condition's planes."""
        return scale_index(self.hyper_scales(planes), SCALE_COUNT)

    def features(self, hyper: Tensor, planes: Tensor, kin: Tensor | None) -> Tensor:
        """What both passes share `[B, width, H, W]`."""
        x = torch.pixel_shuffle(activate(self.up1(signed_parts(hyper))), 2)
        x = torch.pixel_shuffle(activate(self.up2(x)), 2)[..., : planes.shape[-2], : planes.shape[-1]]
        parts = [x, planes]
        if self.kin is not None:
            if kin is None:
                raise ValueError("this scale network needs the symbols of a reference")
            parts.append(activate(self.kin(magnitudes(kin))))
        return activate(self.spread(activate(self.join(torch.cat(parts, 1)))))

    def first_pass(self, features: Tensor, planes: Tensor) -> Tensor:
        return scale_index(self.first_out(torch.cat([features, planes], 1)), SCALE_COUNT)

    def second_pass(self, features: Tensor, planes: Tensor, symbols: Tensor) -> Tensor:
        current = activate(self.current(magnitudes(symbols)))
        x = activate(self.second_join(torch.cat([features, current], 1)))
        x = activate(self.second_spread(x))
        return scale_index(self.second_out(torch.cat([x, planes], 1)), SCALE_COUNT)


@lru_cache(maxsize=6)
@torch.inference_mode(False)  # They also take part in training and refinement.
def pass_masks(latents: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """`[1, C, H, W]` each: ones where the first pass codes, and where the second does; the same tensors every time."""
    board = (torch.arange(height)[:, None] + torch.arange(width)[None]) % 2
    run = min(latents // 2, MASK_RUN)
    first = torch.empty(1, latents, height, width)
    for channel in range(0, latents, run):
        first[:, channel : channel + run] = 1 - board if channel // run % 2 else board
    return first, 1 - first


@dataclass(frozen=True, slots=True)
class CodedLatents:
    """Latents after coding: their decoded values and the integer symbols, both `[B, C, H, W]`."""

    values: Tensor
    symbols: Tensor


class EntropyModel(nn.Module):
    """Hyperprior with a two-pass context over complementary checkerboards that alternate between runs of channels."""

    def __init__(
        self,
        latents: int,
        *,
        width: int,
        hyper_latents: int,
        context: int = 0,
        has_kin: bool,
        has_steps: bool = False,
        details: int = 0,
    ) -> None:
        """The last *details* latents are expected at zero, with the frame's own step: no network guesses them."""
        super().__init__()
        self.latents = latents
        self.details = details
        guessed = latents - details
        self.hyper_analysis = nn.Sequential(
            nn.Conv2d(latents, width, 1), Block(width), Down(width, width), nn.ReLU(), Down(width, hyper_latents)
        )
        self.hyper_synthesis = nn.Sequential(
            Up(hyper_latents, width), nn.ReLU(), Block(width), Up(width, width), nn.ReLU()
        )
        self.fuse = Stage(nn.Conv2d(width + context, width, 1), width, 1)
        self.first_mean = FullConv(width, guessed, 1)
        self.second_mean = nn.Sequential(
            nn.Conv2d(width + guessed, width, 1), blocks(width, 1), FullConv(width, guessed, 1)
        )
        self.log_step = _still(FullConv(width, guessed // STEP_GROUP, 1)) if has_steps else None
        self.scales = ScaleNetwork(latents, hyper_latents, has_kin=has_kin)

    def steps(self, fused: Tensor) -> Tensor:
        """
        Quantisation steps `[B, C, H, W]` against the frame's own, from what is known before the first latent.

        A step needs no exactness, as it acts on a symbol that is decoded already: coarse where texture hides errors,
        fine where they would be seen.
        """
        if self.log_step is None:
            return fused.new_ones(1, 1, 1, 1)
        bounded = STEP_LOG_MAX * torch.tanh(self.log_step(fused) / STEP_LOG_MAX)
        return self._with_details(torch.exp(bounded).repeat_interleave(STEP_GROUP, 1), 1.0)

    def _with_details(self, guessed: Tensor, value: float) -> Tensor:
        return F.pad(guessed, (0, 0, 0, 0, 0, self.details), value=value) if self.details else guessed

    def code(
        self,
        latents: Tensor | None,
        coder: SymbolCoder,
        *,
        condition: Condition,
        size: tuple[int, int],
        context: Tensor | None = None,
        kin: Tensor | None = None,
    ) -> CodedLatents:
        """
        Walk the hyper-latents and both passes through *coder*.

        Symbols and scales stay on the CPU, whatever device the rest of the networks is on: that is what makes them the
        same everywhere.

        *latents* `[B, C, H, W]` or None while decoding; *size* is (H, W) of the latents. *kin* are the symbols of
        the reference that was coded last: the frame most like this one.
        """
        height, width = size
        hyper_size = (-(-height // HYPER_MULTIPLE), -(-width // HYPER_MULTIPLE))
        wanted = None if latents is None else self.hyper_analysis(pad_to_multiple(latents, HYPER_MULTIPLE)).cpu()
        hyper = coder.code(wanted, self.scales.of_hyper_latents(condition.planes(*hyper_size)), None)

        mask, rest = pass_masks(self.latents, height, width)
        fused, features, mean, step, scales = self.expect_first(hyper, context, kin, condition, size)
        symbols = coder.code(None if latents is None else ((latents - mean) / step).cpu(), scales, mask)

        mean, scales = self.expect_second(fused, features, mean, step, symbols, mask, condition)
        more = coder.code(None if latents is None else ((latents - mean) / step).cpu(), scales, rest)
        symbols = symbols + more
        return CodedLatents(values=torch.addcmul(mean, symbols.to(mean.device), step), symbols=symbols)

    def expect_first(
        self, hyper: Tensor, context: Tensor | None, kin: Tensor | None, condition: Condition, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What both passes share, twice: for means and for scales; then means, steps and scale indices."""
        height, width = size
        parts = [self.hyper_synthesis(hyper.to(self.first_mean.weight.device))[..., :height, :width]]
        if context is not None:
            parts.append(context)
        fused = self.fuse(torch.cat(parts, 1), condition)
        planes = condition.planes(height, width)
        features = self.scales.features(hyper, planes, kin)
        mean = self._with_details(self.first_mean(fused), 0.0)
        return fused, features, mean, self.steps(fused), self.scales.first_pass(features, planes)

    def expect_second(
        self,
        fused: Tensor,
        features: Tensor,
        mean: Tensor,
        step: Tensor,
        symbols: Tensor,
        mask: Tensor,
        condition: Condition,
    ) -> tuple[Tensor, Tensor]:
        """Means of all latents, those of the first pass as they were, and the second pass' scale indices."""
        given = mask.to(mean.device)
        seen = torch.addcmul(mean, symbols.to(mean.device), step) * given
        correction = self.second_mean(torch.cat([fused, seen[:, : self.latents - self.details]], 1))
        planes = condition.planes(symbols.shape[-2], symbols.shape[-1])
        scales = self.scales.second_pass(features, planes, symbols)
        return torch.addcmul(mean, self._with_details(correction, 0.0), 1 - given), scales


def _still(layer: nn.Conv2d) -> nn.Conv2d:
    """*layer* giving zeros, until training moves it."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
