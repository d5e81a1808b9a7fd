"""One step of each stage: what it codes, and the loss that it leaves."""

from __future__ import annotations

import numpy as np
import torch
from narrows.codec.condition import Condition
from narrows.codec.entropy_model import RateEstimate
from narrows.codec.hints import MotionSearch
from narrows.codec.layers import pack420
from narrows.codec.model import LATENTS, WIDTH8, Model, Neighbours
from narrows.codec.motion import MOTION_LATENTS
from narrows.codec.objective import decibels, distortion, squared_error, trade_off
from narrows.codec.rate_control import offset_quality
from narrows.codec.reference import Reference, detached
from narrows.options import Preset
from torch import Tensor

from training.chain import Chain, found_motion, path
from training.examples import Batch

Figures = dict[str, float]

ROUTES = (((8,), 0.6), ((4, 1), 0.2), ((2, 2), 0.1), ((1, 1, 1, 1), 0.1))
"""The spans of the groups that a step codes, and how often."""
WARPED_SHARE = 0.1
"""Of the prediction's own error in the loss, which keeps motion honest."""
MOTION_TRADE_OFF_MAX = 1600.0
_LIKE_INTRA = 400.0


def offset(quality_index: Tensor, depth: int | None) -> Tensor:
    """The quality index of frames at *depth* (None: intra) for bases `[B, 1, 1, 1]`."""
    moved = [offset_quality(int(base), depth) for base in quality_index.flatten()]
    return torch.tensor(moved, dtype=quality_index.dtype).view_as(quality_index)


def _balance(quality_index: Tensor) -> Tensor:
    """λ^−½: without it the high rates own the gradient, and streaming lives at the low ones."""
    return (trade_off(quality_index) / _LIKE_INTRA) ** -0.5


def _bits(coder: RateEstimate) -> Tensor:
    assert coder.bits is not None
    return coder.bits


def intra_step(model: Model, batch: Batch, quality_index: Tensor, visual: Tensor) -> tuple[Tensor, Figures]:
    chain = Chain(batch, quality_index, visual)
    loss, _, figures = _intra_cost(model, chain, chain.planes(0))
    return loss, figures


def _code_intra(model: Model, chain: Chain, planes: Tensor, quality_index: Tensor) -> tuple[Reference, Tensor, Tensor]:
    coder, condition = RateEstimate(), chain.condition(quality_index, None, None)
    latents = model.intra.analyse(planes, condition)
    coded = model.intra.code(latents, coder, condition=condition, size=chain.batch.latent_size)
    return coded, _bits(coder) / chain.batch.pixels, distortion(coded.planes, planes, chain.visual)


def _intra_cost(model: Model, chain: Chain, planes: Tensor) -> tuple[Tensor, Reference, Figures]:
    quality = offset(chain.quality_index, None)
    coded, rate, error = _code_intra(model, chain, planes, quality)
    cost = (_balance(chain.quality_index) * (rate + trade_off(quality) * error)).mean()
    return (
        cost,
        coded,
        {
            "bpp_intra": float(rate.detach().mean()),
            "dB_intra": decibels(squared_error(coded.planes, planes)),
        },
    )


def joint_step(
    model: Model, chain: Chain, random: np.random.Generator, *, has_intra: bool, unrolls: bool = True
) -> tuple[Tensor, Figures]:
    """
    The next groups of a chain, after its intra frame when it begins; *has_intra* if intra networks learn as well.

    Unless it *unrolls*, each frame learns for itself alone.
    """
    loss, figures = torch.zeros(()), Figures()
    if chain.anchor is None:
        with torch.set_grad_enabled(has_intra):
            loss, coded, figures = _intra_cost(model, chain, chain.planes(0))
        condition = chain.condition(coded.quality_index, None, None)
        chain.anchor = model.inter.adopt(coded if unrolls else detached(coded), condition)
    elif has_intra:
        # One intra frame in a chain would be a twelfth of what the networks see, and owns a third of the bits.
        loss, _, figures = _intra_cost(model, chain, chain.any_planes(random))
    spans = ROUTES[random.choice(len(ROUTES), p=[chance for _, chance in ROUTES])][0]
    total, frames = torch.zeros(()), 0
    for wanted in spans:
        span = chain.fit(wanted)
        group_loss, group_figures = _code_group(model, chain, span, random, unrolls=unrolls)
        total, frames = total + group_loss, frames + span
        figures |= group_figures
    return loss + 4 * total / frames, figures


def _code_group(
    model: Model, chain: Chain, span: int, random: np.random.Generator, *, unrolls: bool
) -> tuple[Tensor, Figures]:
    """The anchor of a group of *span* frames and one way down; the loss stands for all of its frames."""
    assert chain.anchor is not None
    size, pixels = chain.batch.latent_size, chain.batch.pixels
    coded: dict[int, Reference] = {0: chain.anchor}
    loss = torch.zeros(())
    figures: Figures = {}
    last = 0
    for leg in path(span, random):
        place, planes = leg.place, chain.planes(leg.place.position)
        kin = coded[last]
        neighbours = Neighbours(coded[place.first], coded[place.second], place.offsets, kin)
        quality = offset(chain.quality_index, place.depth)
        condition = chain.condition(quality, place, kin)
        motion_coder, coder = RateEstimate(), RateEstimate()
        motion_latents = model.inter.analyse_motion(neighbours, chain.hints(place, neighbours, quality), condition)
        prediction = model.inter.predict(motion_latents, neighbours, motion_coder, condition=condition, size=size)
        latents = model.inter.analyse(planes, prediction, condition)
        here = model.inter.code(latents, prediction, neighbours, coder, condition=condition, size=size)
        coded[place.position] = here if unrolls else detached(here)
        last = place.position
        motion_rate = _bits(motion_coder) / pixels
        rate = _bits(coder) / pixels + motion_rate
        error = distortion(here.planes, planes, chain.visual)
        warped_error = squared_error(prediction.planes, planes)
        weight = trade_off(quality)
        cost = rate + weight * error + WARPED_SHARE * weight.clamp_max(MOTION_TRADE_OFF_MAX) * warped_error
        loss = loss + leg.weight * (_balance(chain.quality_index) * cost).mean()
        name = f"{span}.{place.depth}"
        figures |= {
            f"bpp_{name}": float(rate.detach().mean()),
            f"bpp_motion_{name}": float(motion_rate.detach().mean()),
            f"dB_warped_{name}": decibels(warped_error),
            f"dB_{name}": decibels(squared_error(here.planes, planes)),
        }
    chain.keep(coded[span], span)
    return loss, figures


def motion_step(
    model: Model, batch: Batch, quality_index: Tensor, random: np.random.Generator
) -> tuple[Tensor, Figures]:
    """Originals, with some noise on them half of the time, warped to an original."""
    frames = batch.luma.shape[1]
    distance = int(random.choice([1, 2, 4]))
    is_between = bool(random.random() < 0.6)
    now = int(random.integers(distance, frames - distance if is_between else frames))
    before, after = now - distance, now + distance if is_between else now - distance
    noise = 0.02 * float(random.random()) * float(random.random() < 0.5)

    def known(index: int) -> Reference:
        luma = batch.luma[:, index]
        still = luma.new_zeros(len(luma), LATENTS, *batch.latent_size)
        return Reference(
            luma=(luma + noise * torch.randn_like(luma)).clamp(-0.5, 0.5),
            chroma=batch.chroma[:, index],
            features=luma.new_zeros(len(luma), WIDTH8, *(2 * side for side in batch.latent_size)),
            velocity=None,
            symbols=still,
            motion_symbols=still[:, :MOTION_LATENTS],
            quality_index=quality_index,
        )

    first = known(before)
    second = known(after) if is_between else first
    neighbours = Neighbours(first, second, (before - now, after - now), second)
    hints = found_motion(batch, now, (before, after), neighbours, quality_index, MotionSearch(Preset.MEDIUM))
    condition = Condition(
        quality_index=quality_index,
        visual=torch.zeros_like(quality_index),
        distance=torch.full_like(quality_index, distance),
        is_between=torch.full_like(quality_index, is_between),
        kin_quality=quality_index,
    )
    planes, coder = pack420(batch.luma[:, now], batch.chroma[:, now]), RateEstimate()
    latents = model.inter.analyse_motion(neighbours, hints, condition)
    prediction = model.inter.predict(latents, neighbours, coder, condition=condition, size=batch.latent_size)
    rate, error = _bits(coder) / batch.pixels, squared_error(prediction.planes, planes)
    loss = (rate + trade_off(quality_index).clamp_max(MOTION_TRADE_OFF_MAX) * error).mean()
    name = f"{'B' if is_between else 'P'}{distance}"
    return loss, {f"bpp_{name}": float(rate.detach().mean()), f"dB_warped_{name}": decibels(error)}
