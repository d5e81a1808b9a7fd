"""
What training starts from: linear paths and scales from the data, and networks whose signals have size one.

The last is layer-sequential calibration (Mishkin & Matas, 2016): with signals of a hundredth, as samples in −½…½ leave
them, networks beside the linear paths gave nothing in thousands of steps.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from narrows.codec.condition import CONDITION_PLANES, QUALITY_MAX
from narrows.codec.entropy_model import SCALE_LOG_STEP, SCALE_LOWEST, EntropyModel
from narrows.codec.layers import LinearPath
from narrows.codec.model import STEP_HIGHEST, STEP_LOWEST, Model
from torch import Tensor, nn

from training.basis import Basis, find_bases
from training.chain import Chain
from training.examples import Examples
from training.sequences import SEQUENCE_FRAMES
from training.steps import joint_step

CALIBRATED = (
    "intra.analysis8.entry",
    "intra.analysis16.entry.mix",
    "intra.synthesis16.entry",
    "intra.synthesis16.leave.mix",
    "inter.adapter.entry",
    "inter.context.entry",
    "inter.context16.mix",
    "inter.analysis8.entry",
    "inter.analysis16.entry.mix",
    "inter.synthesis16.entry",
    "inter.synthesis16.leave.mix",
    "inter.synthesis8.entry",
)
"""Layers in the order in which signals pass them."""
CALIBRATION_CROP = 192


@torch.no_grad()
def start_scales(entropy: EntropyModel, basis: Basis) -> None:
    """Start the probability scales of the linear path where the data's deviations put them, at every quality."""
    index = torch.log(basis.deviations[: entropy.latents] / STEP_LOWEST / SCALE_LOWEST) / SCALE_LOG_STEP
    slope = float(np.log(STEP_LOWEST / STEP_HIGHEST)) / SCALE_LOG_STEP
    for out in (entropy.scales.first_out, entropy.scales.second_out):
        out.bias.copy_(index / 4 / 8)
        out.weight[:, -CONDITION_PLANES:] = 0
        out.weight[:, -CONDITION_PLANES, 0, 0] = slope / 4 / (2 * QUALITY_MAX / 16)  # The plane of the quality.


def _start(linear: LinearPath, basis: Basis) -> None:
    count = linear.spread.shape[1]
    linear.start_from(basis.analysis[:count], basis.synthesis[:, :count], basis.deviations[:count])


def prepared_model(examples: Examples, folder: Path) -> Model:
    """A fresh model with its linear paths and scales started from the data; the bases are kept in *folder*."""
    torch.manual_seed(0)
    model = Model()
    kept = folder / "basis.pt"
    if not kept.exists():
        torch.save([(b.analysis, b.synthesis, b.deviations) for b in find_bases(examples)], kept)
    intra, inter = (Basis(*saved) for saved in torch.load(kept))
    _start(model.intra.linear, intra)
    start_scales(model.intra.entropy, intra)
    _start(model.inter.linear, inter)
    start_scales(model.inter.entropy, inter)
    calibrate(model, examples)
    return model


@torch.no_grad()
def calibrate(model: Model, examples: Examples) -> None:
    """Scale the layers of `CALIBRATED`, one after the other, so that what they give has a mean square of one."""
    modules = dict(model.named_modules())
    for name in CALIBRATED:
        layer = modules[name]
        assert isinstance(layer, nn.Conv2d) and layer.bias is not None
        layer.bias.zero_()
        layer.weight.div_(_size_of_outputs(layer, model, examples))


def _size_of_outputs(layer: nn.Module, model: Model, examples: Examples) -> float:
    squares: list[float] = []

    def see(module: nn.Module, inputs: object, output: Tensor) -> None:
        squares.append(float(output.square().mean()))

    watched = layer.register_forward_hook(see)
    random = np.random.default_rng(0)
    quality_index = torch.linspace(0, QUALITY_MAX, 4).round().view(-1, 1, 1, 1)
    batch = examples.draw(len(quality_index), SEQUENCE_FRAMES, random, CALIBRATION_CROP)
    chain = Chain(batch, quality_index, (quality_index > QUALITY_MAX / 2).float())
    joint_step(model, chain, random, has_intra=False)
    watched.remove()
    return math.sqrt(sum(squares) / len(squares))
