"""
Muon on the 1×1 weights, Adam on everything else, and a moving average of the weights.

Muon orthogonalises the momentum by five Newton–Schulz steps in bfloat16 (Jordan et al., 2024). The integer networks'
weights stay with Adam: their steps must be small against the grid that they are rounded to. So do the loop filters',
which work on finished pictures.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from narrows.codec.integer import IntegerConv
from narrows.codec.layers import LinearPath, Stage
from narrows.codec.loop_filter import LoopFilter
from narrows.codec.model import InterCodec, IntraCodec
from narrows.codec.motion import MotionCodec
from torch import Tensor, nn

MUON_RATE = 0.01
MUON_FULL_RATE = 1e-3
"""A stage with a lower rate than this moves the matrices less, too: or a gentle restart would not be one."""
MUON_SIDE_MIN = 32
LINEAR_SHARE = 0.05
"""
Of the rate, for linear paths and for what is added to them. They start where they belong, and what they see is large:
at the full rate every step moved a bright block's latents by a tenth of a quantisation step, whatever the gradient.
With momentum, the last layers of the networks strayed by three levels of a sample, and all that training learned from
it was to silence the layers before.
"""
EMA_DECAY = 0.995


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (matrix / (matrix.norm() + 1e-7)).bfloat16()
    is_tall = x.shape[0] > x.shape[1]
    if is_tall:
        x = x.T
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    nearest: Tensor = x.T if is_tall else x
    return nearest.float()


def linear_layers(module: nn.Module) -> tuple[nn.Conv2d, ...]:
    """Linear paths, and what the networks beside them give."""
    if isinstance(module, LinearPath):
        return module.analyse, module.synthesise
    if isinstance(module, MotionCodec):
        return (module.head,)
    if isinstance(module, IntraCodec | InterCodec):
        return module.head, _leave(module.analysis16)
    return ()


def _leave(stage: Stage) -> nn.Conv2d:
    assert isinstance(stage.leave, nn.Conv2d)
    return stage.leave


class Optimizer:
    """Both optimisers behind one `step(scale)`; *scale* follows the schedule."""

    def __init__(self, modules: Iterable[nn.Module], rate: float) -> None:
        roots = list(modules)
        self.parameters = [p for m in roots for p in m.parameters()]
        small = {
            id(p)
            for root in roots
            for m in root.modules()
            if isinstance(m, IntegerConv | LoopFilter)
            for p in m.parameters()
        }
        self._matrices = [
            p
            for p in self.parameters
            if p.ndim == 4 and p.shape[2] == 1 and min(p.shape[:2]) >= MUON_SIDE_MIN and id(p) not in small
        ]
        chosen = {id(p) for p in self._matrices}
        self._adam = torch.optim.Adam([p for p in self.parameters if id(p) not in chosen], lr=rate, betas=(0.9, 0.98))
        linear = {id(layer.weight) for root in roots for m in root.modules() for layer in linear_layers(m)}
        self._shares = [LINEAR_SHARE if id(p) in linear else 1.0 for p in self._matrices]
        self._rate = rate
        self._momenta = [torch.zeros_like(p) for p in self._matrices]

    def zero_grad(self) -> None:
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self, scale: float) -> None:
        for group in self._adam.param_groups:
            group["lr"] = self._rate * scale
        self._adam.step()
        muon_rate = MUON_RATE * scale * min(1.0, self._rate / MUON_FULL_RATE)
        for p, momentum, share in zip(self._matrices, self._momenta, self._shares, strict=True):
            if p.grad is None:
                continue
            gradient = p.grad[:, :, 0, 0]
            moving = momentum[:, :, 0, 0]
            moving.mul_(0.95).add_(gradient)
            update = orthogonalise(gradient.add(moving, alpha=0.95))
            reach = share * muon_rate * max(1.0, p.shape[0] / p.shape[1]) ** 0.5
            p[:, :, 0, 0].mul_(1 - share * muon_rate * 0.01).add_(update, alpha=-reach)

    def state(self) -> dict[str, object]:
        return {"adam": self._adam.state_dict(), "momenta": self._momenta}

    def load(self, state: dict[str, object]) -> None:
        self._adam.load_state_dict(state["adam"])  # type: ignore[arg-type]
        for mine, saved in zip(self._momenta, state["momenta"], strict=True):  # type: ignore[call-overload]
            mine.copy_(saved)
