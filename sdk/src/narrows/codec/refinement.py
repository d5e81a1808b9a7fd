"""
Better latents for one frame, by gradient: what the analysis network guesses for all pictures, improved for this one.

The encoder's work alone; the decoder does not notice. Rounding is replaced by a smooth curve that steepens from step to
step (Agustsson & Theis, 2020), so that latents move to where rounding hurts least. Adam, but only a few steps: the
curve is kinder than rounding, and many steps would exploit that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from narrows.codec.condition import Condition
from narrows.codec.entropy_model import SCALE_LOG_STEP, SCALE_LOWEST, SymbolCoder, symbol_bits
from narrows.codec.objective import distortion, trade_off
from narrows.codec.reference import Reference

_RATE = 0.1
_RATE_LAST = 0.1
"""Of the rate, at the last step."""
_SHARPNESS = (3.0, 8.0)
_BETAS = (0.9, 0.95)

Code = Callable[[Tensor, SymbolCoder], Reference]
"""Codes latents `[1, C, H, W]` with a coder and reconstructs."""


@dataclass
class _SmoothEstimate:
    """The coder of the refinement: symbols are rounded smoothly, bits are counted."""

    sharpness: float
    bits: Tensor | None = None

    def code(self, wanted: Tensor | None, scales: Tensor, mask: Tensor | None) -> Tensor:
        if wanted is None:
            raise ValueError("only known latents can be refined")
        symbols = smooth_round(wanted, self.sharpness)
        bits = symbol_bits(symbols, SCALE_LOWEST * torch.exp(SCALE_LOG_STEP * scales))
        if mask is not None:
            symbols, bits = symbols * mask, bits * mask
        self.bits = bits.sum() if self.bits is None else self.bits + bits.sum()
        return symbols


def smooth_round(x: Tensor, sharpness: float) -> Tensor:
    """Between *x* (0) and its rounding (∞)."""
    low = torch.floor(x)
    return low + 0.5 + torch.tanh(sharpness * (x - low - 0.5)) / (2 * math.tanh(sharpness / 2))


def cost(bits: Tensor | float, reconstructed: Tensor, planes: Tensor, condition: Condition) -> Tensor:
    """Bits per pixel and what the errors of *reconstructed* against *planes*, `[1, 96, H/8, W/8]`, are worth."""
    pixels = planes.shape[-2] * planes.shape[-1] * 64
    error = distortion(reconstructed, planes, condition.visual)
    return (bits / pixels + trade_off(condition.quality_index) * error).sum()


@torch.inference_mode(False)
def refine(latents: Tensor, code: Code, planes: Tensor, condition: Condition, *, steps: int) -> Tensor:
    """*latents* after *steps* steps down the cost of the frame; as they are after none."""
    if not steps:
        return latents
    with torch.enable_grad():
        moving = latents.clone().requires_grad_(True)
        adam = torch.optim.Adam([moving], lr=_RATE, betas=_BETAS)
        for step in range(steps):
            done = step / max(1, steps - 1)
            adam.param_groups[0]["lr"] = _RATE * (1 - (1 - _RATE_LAST) * done)
            coder = _SmoothEstimate(_SHARPNESS[0] * (_SHARPNESS[1] / _SHARPNESS[0]) ** done)
            reconstruction = code(moving, coder)
            assert coder.bits is not None
            adam.zero_grad()
            cost(coder.bits, reconstruction.planes, planes, condition).backward()  # type: ignore[no-untyped-call]
            adam.step()
    return moving.detach()
