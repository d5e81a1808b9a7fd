"""
An integer network inside floating point: the same bits on every machine.

Entropy decoding dies on one different bit, so what selects a probability table is computed from integers alone.
Activations are unsigned 8-bit (value = integer / 16), weights signed 8-bit (value = integer / 128), biases integers
(value = integer / 2048). With a fan-in of at most `FAN_IN_MAX` every partial sum stays below 2²⁴, where float32
is exact, so the order of the summation cannot matter. Requantisation divides by a power of two and rounds down.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from narrows.codec.layers import round_through

FAN_IN_MAX = 480
"""255 · 127 · 480 plus the largest bias is below 2²⁴."""
BIAS_MAX = 1 << 20
ACTIVATION_MAX = 255
_ACTIVATION_UNIT = 16
_WEIGHT_UNIT = 128
_SUM_UNIT = _ACTIVATION_UNIT * _WEIGHT_UNIT
_BIAS_GAIN = 8.0


def _floor_through(x: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        return torch.floor(x)
    return x + (torch.floor(x) - x).detach()


def _clamp_through(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp; a value outside keeps the gradient that would bring it back in."""
    if not torch.is_grad_enabled():
        return x.clamp(low, high)
    inside = x.clamp(low, high)
    return inside + 0.05 * ((x - inside) - (x - inside).detach())


class _Bounded(torch.autograd.Function):
    """Clamp whose gradient passes outside as well, where following it leads back inside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bounds = (low, high)
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (x,), (gradient,), (low, high) = ctx.saved_tensors, gradients, ctx.bounds
        is_useful = ((x >= low) | (gradient < 0)) & ((x <= high) | (gradient > 0))
        return gradient * is_useful, None, None


class IntegerConv(nn.Module):
    """A convolution of integers, 1×1 or depthwise 3×3; returns integer sums in units of 1/2048."""

    def __init__(self, width_in: int, width_out: int, *, depthwise: bool = False, bias: float = 0.0) -> None:
        super().__init__()
        fan_in = 9 if depthwise else width_in
        if fan_in > FAN_IN_MAX:
            raise ValueError(f"fan-in {fan_in} is above {FAN_IN_MAX}: sums would leave the exact range")
        self.groups = width_in if depthwise else 1
        self.kernel = 3 if depthwise else 1
        if depthwise:
            start = torch.zeros(width_out, 1, 3, 3)
            start[:, :, 1, 1] = 0.9
            start += 0.02 * torch.randn_like(start)
        else:
            start = torch.randn(width_out, width_in, 1, 1) * min(0.5, (1 / fan_in) ** 0.5)
        self.weight = nn.Parameter(start)
        self.bias = nn.Parameter(torch.full((width_out,), bias / _BIAS_GAIN))

    def forward(self, activations: Tensor) -> Tensor:
        weight = round_through((self.weight * _WEIGHT_UNIT).clamp(-127, 127))
        bias = round_through((self.bias * (_BIAS_GAIN * _SUM_UNIT)).clamp(-BIAS_MAX, BIAS_MAX))
        with torch.autocast(activations.device.type, enabled=False):
            return F.conv2d(activations.float(), weight, bias, padding=self.kernel // 2, groups=self.groups)


def activate(sums: Tensor) -> Tensor:
    """Sums in 1/2048 → unsigned 8-bit activations in 1/16: the ReLU of this network."""
    return _clamp_through(_floor_through((sums + _WEIGHT_UNIT // 2) / _WEIGHT_UNIT), 0, ACTIVATION_MAX)


def scale_index(sums: Tensor, count: int) -> Tensor:
    """Sums in 1/2048 → an index 0..count-1, four indices to a unit."""
    step = _SUM_UNIT // 4
    bounded: Tensor = _Bounded.apply(_floor_through((sums + step // 2) / step), 0, count - 1)  # type: ignore[no-untyped-call]
    return bounded


def magnitudes(symbols: Tensor) -> Tensor:
    """Integer symbols → activations: their absolute values in steps of one half, saturating at 31."""
    return (symbols.detach().abs() * 8).clamp(0, ACTIVATION_MAX)


def signed_parts(symbols: Tensor) -> Tensor:
    """Integer symbols → activations of twice the channels: positive parts, then negative parts."""
    fixed = symbols * 8
    return _clamp_through(torch.cat([fixed, -fixed], 1), 0, ACTIVATION_MAX)
