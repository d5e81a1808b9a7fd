"""
The decoder in pieces: what runs between two reads of the entropy coder, as functions of tensors alone.

Each piece is a graph without state, for pictures of any size, and the last input of all is the condition. ONNX
Runtime runs them in place of torch (`acceleration`), and other players than ours may (`narrows export onnx`). Scale
indices leave a piece as integers, computed from integers: they are the same wherever it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from narrows.codec.condition import Condition
from narrows.codec.entropy_model import EntropyModel
from narrows.codec.layers import PLANES, Stage
from narrows.codec.model import Model
from narrows.codec.motion import FLOW_DIVISOR, warp_all

CONDITION_VALUES: Final = ("quality_index", "visual", "distance", "is_between", "kin_quality")
"""Of the input `condition`, `[1, 5, 1, 1]`."""
SCALES: Final = "scales"
_EXAMPLE_SIZE = 64, 96


def condition_of(values: Tensor) -> Condition:
    """From the input of a piece."""
    return Condition(*torch.split(values, 1, 1))


def condition_values(condition: Condition) -> Tensor:
    """The input of a piece."""
    return torch.cat([getattr(condition, name) for name in CONDITION_VALUES], 1)


@dataclass(frozen=True, slots=True)
class Port:
    """An input: its channels, and the pixels that each side of a sample covers; 0 for a single sample."""

    width: int
    per: int

    def example(self) -> Tensor:
        height, width = ((-(-side // self.per) if self.per else 1) for side in _EXAMPLE_SIZE)
        return torch.zeros(1, self.width, height, width)


class Piece(nn.Module):
    """One graph: *inputs* before the condition, *outputs* with the pixels per sample, and the *step* between them."""

    def __init__(
        self, owner: nn.Module, step: Callable[..., Any], inputs: Mapping[str, Port], outputs: Mapping[str, int]
    ) -> None:
        super().__init__()
        self.owner = owner
        self.step = step
        self.inputs = inputs
        self.outputs = outputs

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        *tensors, values = given
        made = self.step(*tensors, condition_of(values))
        results = made if isinstance(made, tuple) else (made,)
        return tuple(r.to(torch.uint8) if name == SCALES else r for name, r in zip(self.outputs, results, strict=True))

    def examples(self) -> tuple[Tensor, ...]:
        return (*(port.example() for port in self.inputs.values()), torch.zeros(1, len(CONDITION_VALUES), 1, 1))

    @property
    def output_names(self) -> list[str]:
        """An output may be called like an input of the piece; in a graph it may not."""
        return [f"{name}_out" for name in self.outputs]

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        per = {name: port.per for name, port in self.inputs.items()}
        per |= dict(zip(self.output_names, self.outputs.values(), strict=True))
        return {name: {2: f"rows_{pixels}", 3: f"columns_{pixels}"} for name, pixels in per.items() if pixels}


def _first_pass(entropy: EntropyModel, context: int) -> Piece:
    """`EntropyModel.expect_first`; *context* is the width of that input, 0 for none."""
    has_kin, latents = entropy.scales.kin is not None, entropy.latents
    inputs = {"hyper": Port(entropy.scales.hyper_scales.weight.shape[0], 64)}
    if context:
        inputs["context"] = Port(context, 16)
    # The size of the latents has to come from somewhere: hyper-latents cover a little more.
    inputs |= {"kin": Port(latents, 16)} if has_kin else {"size": Port(1, 16)}

    def step(hyper: Tensor, *rest: Any) -> Any:
        *others, sized, condition = rest
        kin = sized if has_kin else None
        return entropy.expect_first(hyper, others[0] if others else None, kin, condition, sized.shape[-2:])

    steps = 16 if entropy.log_step is not None else 0
    return Piece(entropy, step, inputs, {"fused": 16, "features": 16, "mean": 16, "step": steps, SCALES: 16})


def _second_pass(entropy: EntropyModel) -> Piece:
    """`EntropyModel.expect_second`."""
    every = Port(entropy.latents, 16)
    inputs = {
        "fused": Port(entropy.first_mean.in_channels, 16),
        "features": Port(entropy.scales.join.weight.shape[0], 16),
        "mean": every,
        "step": every if entropy.log_step is not None else Port(1, 0),
        "symbols": every,
        "mask": every,
    }
    return Piece(entropy, entropy.expect_second, inputs, {"means": 16, SCALES: 16})


def _hyper(entropy: EntropyModel) -> Piece:
    """`ScaleNetwork.of_hyper_latents`, the same at every place."""

    def step(condition: Condition) -> Tensor:
        return entropy.scales.of_hyper_latents(condition.planes(1, 1))

    return Piece(entropy, step, {}, {SCALES: 0})


def _width(stage: Stage) -> int:
    return stage.modulation.affine.out_channels // 2


def pieces_of(model: Model) -> dict[str, Piece]:
    """All pieces of the decoder by name."""
    intra, inter, motion = model.intra, model.inter, model.inter.motion
    width = _width(inter.context)
    picture = {"luma": Port(1, 1), "chroma": Port(2, 2)}
    warped = {**picture, "features": Port(width, 8)}
    others = {f"other_{name}": port for name, port in warped.items()}
    flow = Port(2, FLOW_DIVISOR)
    latents = {name: {"values": Port(c.entropy.latents, 16)} for name, c in (("i", intra), ("m", motion), ("p", inter))}
    shown = {"luma": 1, "chroma": 2}
    return {
        "intra_hyper": _hyper(intra.entropy),
        "intra_first": _first_pass(intra.entropy, 0),
        "intra_second": _second_pass(intra.entropy),
        "intra_synthesis": Piece(intra, intra.synthesise, latents["i"], shown),
        "adoption": Piece(inter, inter.adapted, picture, {"features": 8}),
        "motion_hyper": _hyper(motion.entropy),
        "motion_first": _first_pass(motion.entropy, 0),
        "motion_second": _second_pass(motion.entropy),
        "motion_synthesis": Piece(
            motion,
            motion.synthesise,
            {**latents["m"], "forecast": flow, "other_forecast": flow},
            {"flow": FLOW_DIVISOR, "other_flow": FLOW_DIVISOR, "blend_mask": 4, "motion_features": 8},
        ),
        "fetch": Piece(
            nn.Identity(), lambda *given: warp_all(*given[:-1]), {**warped, "flow": flow}, {**shown, "features": 8}
        ),
        "blend": Piece(
            inter,
            inter.blend,
            {**warped, **others, "blend_mask": Port(1, 4), "motion_features": Port(_width(motion.synthesis8), 8)},
            {"planes": 8, "context": 8, "context16": 16},
        ),
        "inter_hyper": _hyper(inter.entropy),
        "inter_first": _first_pass(inter.entropy, inter.context16.mix.out_channels),
        "inter_second": _second_pass(inter.entropy),
        "inter_synthesis": Piece(
            inter,
            inter.synthesise,
            {**latents["p"], "planes": Port(PLANES, 8), "context": Port(width, 8)},
            {**shown, "features": 8},
        ),
    }
