"""
Train one stage, resumably.

    python -m training.train STAGE --data FOLDER --run FOLDER --minutes N [--start CHECKPOINT]

Stages: `intra`; `motion` (warped originals, pulled to the hints); `joint` (chains of an intra frame and inter frames
that predict from reconstructions). Start with `RANK`/`WORLD_SIZE`/`MASTER_*` set to average the
gradients of several single-threaded processes (gloo). A checkpoint is written every few minutes; the same
command resumes.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from narrows.codec.entropy_model import SCALE_LOG_STEP, SCALE_LOWEST, CodedLatents, EntropyModel, RateEstimate
from narrows.codec.layers import pack420
from narrows.codec.model import LATENTS, QUALITY_MAX, STEP_HIGHEST, STEP_LOWEST, Model
from narrows.codec.motion import MOTION_LATENTS, warp420
from torch import Tensor, nn

from training.basis import Basis, find_bases
from training.chain import Chain
from training.examples import Batch, Examples
from training.losses import DEPTH_OFFSETS, INTRA_OFFSET, decibels, distortion, trade_off
from training.optimizer import EMA_DECAY, Optimizer
from training.sequences import CROP, SEQUENCE_FRAMES

CHECKPOINT_SECONDS = 180
LOG_STEPS = 50
WARM_UP_STEPS = 100
CHAIN_STEPS = 5
"""A chain is an intra frame and this many times the stage's frames."""
DECAY_FROM = 0.6
"""The rate stays until this part of the stage, then falls linearly."""

TRAINED = {"intra": "intra.", "motion": "inter.motion.", "joint": ""}
"""The prefix of the weights that a stage trains, and that a later stage takes from it."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Stage:
    """How much one step sees."""

    batch: int
    frames: int
    rate: float
    crop: int = CROP


STAGES = {
    "intra": Stage(batch=6, frames=1, rate=1e-3),
    "motion": Stage(batch=4, frames=2, rate=2e-3),
    "joint": Stage(batch=2, frames=4, rate=1e-3, crop=192),
}


def intra_step(model: Model, batch: Batch, quality_index: Tensor) -> tuple[Tensor, Figures]:
    planes = pack420(batch.luma[:, 0], batch.chroma[:, 0])
    coder = RateEstimate()
    latents = model.intra.analyse(planes, quality_index)
    coded = model.intra.code(latents, coder, quality_index=quality_index, size=batch.latent_size)
    assert coder.bits is not None
    rate, error = coder.bits / batch.pixels, distortion(coded.planes, planes)
    weight = trade_off(quality_index)
    loss = ((weight / 400) ** -0.5 * (rate + weight * error)).mean()
    return loss, {"bpp_intra": float(rate.detach().mean()), "dB_intra": decibels(error)}


def motion_step(model: Model, batch: Batch, quality_index: Tensor) -> tuple[Tensor, Figures]:
    """The warped original against the original, with some noise on the reference half of the time."""
    now = pack420(batch.luma[:, 1], batch.chroma[:, 1])
    before = pack420(batch.luma[:, 0], batch.chroma[:, 0])
    luma, chroma = batch.luma[:, 0], batch.chroma[:, 0]
    if torch.rand(()) < 0.5:
        luma = luma + torch.randn_like(luma) * 0.02 * torch.rand(())
    still = now.new_zeros(len(now), MOTION_LATENTS, *batch.latent_size)
    coder, quality = RateEstimate(), quality_index / QUALITY_MAX
    latents = model.inter.motion.analyse(now, luma, batch.hints[:, 0], quality)
    motion = model.inter.motion.code(
        latents,
        coder,
        quality=quality,
        quality_index=quality_index,
        size=batch.latent_size,
        previous=CodedLatents(values=still, symbols=still),
    )
    assert coder.bits is not None
    rate, error = coder.bits / batch.pixels, distortion(warp420(luma, chroma, motion.flow), now)
    weight = trade_off(quality_index).clamp_max(1600)
    pull = F.smooth_l1_loss(motion.flow, batch.hints[:, 0])
    loss = (rate + weight * error).mean() + 0.05 * pull
    return loss, {
        "bpp_motion": float(rate.detach().mean()),
        "dB_warped": decibels(error),
        "dB_still": decibels(distortion(before, now)),
    }


def joint_step(model: Model, chain: Chain, frames: int) -> tuple[Tensor, Figures]:
    """The next *frames* inter frames of a chain, after its intra frame when it begins."""
    size, pixels = chain.batch.latent_size, chain.batch.pixels
    base_weight = (trade_off(chain.quality_index) / 400) ** -0.5
    loss = torch.zeros(())
    figures: Figures = {}
    reference = chain.reference
    if reference is None:
        planes, quality = chain.planes(), (chain.quality_index + INTRA_OFFSET).clamp(0, QUALITY_MAX)
        coder = RateEstimate()
        latents = model.intra.analyse(planes, quality)
        reference = model.intra.code(latents, coder, quality_index=quality, size=size)
        assert coder.bits is not None
        rate, error = coder.bits / pixels, distortion(reference.planes, planes)
        loss = loss + (base_weight * (rate + trade_off(quality) * error)).mean()
        figures = {"bpp_intra": float(rate.detach().mean()), "dB_intra": decibels(error)}
    totals = {"bpp_inter": 0.0, "bpp_motion": 0.0, "dB_warped": 0.0, "dB_inter": 0.0}
    for _ in range(frames):
        hints = chain.advance()
        planes = chain.planes()
        depth = DEPTH_OFFSETS[(chain.frame_count + chain.phase) % len(DEPTH_OFFSETS)]
        quality = (chain.quality_index + depth).clamp(0, QUALITY_MAX)
        motion_coder, coder = RateEstimate(), RateEstimate()
        motion_latents = model.inter.analyse_motion(planes, reference, hints, quality)
        prediction = model.inter.predict(motion_latents, reference, motion_coder, quality_index=quality, size=size)
        latents = model.inter.analyse(planes, prediction, quality)
        reference = model.inter.code(latents, prediction, reference, coder, quality_index=quality, size=size)
        assert coder.bits is not None
        assert motion_coder.bits is not None
        motion_rate = motion_coder.bits / pixels
        rate = coder.bits / pixels + motion_rate
        error, warped_error = distortion(reference.planes, planes), distortion(prediction.planes, planes)
        weight = trade_off(quality)
        loss = loss + (base_weight * (rate + weight * error + 0.1 * weight * warped_error)).mean()
        totals["bpp_inter"] += float(rate.detach().mean()) / frames
        totals["bpp_motion"] += float(motion_rate.detach().mean()) / frames
        totals["dB_warped"] += decibels(warped_error) / frames
        totals["dB_inter"] += decibels(error) / frames
    chain.keep(reference)
    return loss, figures | totals


@torch.no_grad()
def start_scales(entropy: EntropyModel, basis: Basis) -> None:
    """Start the probability scales of the linear path where the data's deviations put them, at every quality."""
    index = torch.log(basis.deviations[:LATENTS] / STEP_LOWEST / SCALE_LOWEST) / SCALE_LOG_STEP
    slope = float(np.log(STEP_LOWEST / STEP_HIGHEST)) / SCALE_LOG_STEP
    for out in (entropy.scales.first_out, entropy.scales.second_out):
        out.bias.copy_(index / 4 / 8)
        out.weight[:, -2:] = 0
        out.weight[:, -2, 0, 0] = slope / 4 / (2 * QUALITY_MAX / 16)


def prepared_model(examples: Examples, folder: Path) -> Model:
    """A fresh model with its linear paths and scales started from the data; the bases are kept in *folder*."""
    torch.manual_seed(0)
    model = Model()
    kept = folder / "basis.pt"
    if not kept.exists():
        torch.save([(b.analysis, b.synthesis, b.deviations) for b in find_bases(examples)], kept)
    intra, inter = (Basis(*saved) for saved in torch.load(kept))
    model.intra.linear.start_from(intra.analysis[:LATENTS], intra.synthesis[:, :LATENTS])
    start_scales(model.intra.entropy, intra)
    model.inter.linear.start_from(inter.analysis[:LATENTS], inter.synthesis[:, :LATENTS])
    start_scales(model.inter.entropy, inter)
    return model


class Run:
    """One stage in one folder: model, optimiser, average and the time already spent."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        if self.world > 1:
            dist.init_process_group("gloo")
        self.name: str = arguments.stage
        self.stage = STAGES[self.name]
        self.minutes: float = arguments.minutes
        self.folder: Path = arguments.run
        self.folder.mkdir(parents=True, exist_ok=True)
        self.examples = Examples(arguments.data)
        self.model = prepared_model(self.examples, arguments.data)
        self.checkpoint = self.folder / f"{self.name}.pt"
        self.steps, self.seconds = 0, 0.0
        trained: dict[str, list[nn.Module]] = {
            "intra": [self.model.intra],
            "motion": [self.model.inter.motion],
            "joint": [self.model.intra, self.model.inter],
        }
        saved: dict[str, Any] | None = None
        if self.checkpoint.exists():
            saved = torch.load(self.checkpoint, weights_only=False)
            self.model.load_state_dict(saved["model"])
            self.steps, self.seconds = saved["steps"], saved["seconds"]
        for path in arguments.start if saved is None else []:
            merge(self.model, torch.load(path, weights_only=False))
        self.average = {k: v.clone() for k, v in (saved["average"] if saved else self.model.state_dict()).items()}
        self.optimizer = Optimizer(trained[self.name], arguments.rate or self.stage.rate)
        if saved:
            self.optimizer.load(saved["optimizer"])
        self.chain: Chain | None = None
        seed = self.steps * 1000 + self.rank
        torch.manual_seed(seed)
        self.random = np.random.default_rng(seed)

    @property
    def done(self) -> float:
        """The part of the stage's time that has passed."""
        return min(1.0, self.seconds / 60 / self.minutes)

    def rate_scale(self) -> float:
        decay = 1.0 if self.done < DECAY_FROM else max(0.02, 1 - (self.done - DECAY_FROM) / (1 - DECAY_FROM))
        return min(1.0, (self.steps + 1) / WARM_UP_STEPS) * decay

    def draw(self, frames: int) -> tuple[Batch, Tensor]:
        """A batch and a quality index for each of its examples."""
        batch = self.examples.draw(self.stage.batch, frames, self.random, self.stage.crop)
        return batch, torch.randint(0, QUALITY_MAX + 1, (self.stage.batch, 1, 1, 1)).float()

    def step(self) -> tuple[float, Figures]:
        if self.name == "intra":
            loss, figures = intra_step(self.model, *self.draw(self.stage.frames))
        elif self.name == "motion":
            loss, figures = motion_step(self.model, *self.draw(self.stage.frames))
        else:
            # By the count of steps, so that every process begins its chains at the same time.
            if self.chain is None or self.steps % CHAIN_STEPS == 0:
                self.chain = Chain(*self.draw(SEQUENCE_FRAMES), phase=int(self.random.integers(0, 4)))
            loss, figures = joint_step(self.model, self.chain, self.stage.frames)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._share_gradients()
        with_gradient = [p for p in self.optimizer.parameters if p.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(with_gradient, 2.0)
        if torch.isfinite(norm):
            self.optimizer.step(self.rate_scale())
        self.steps += 1
        return float(loss.detach()), figures

    def _share_gradients(self) -> None:
        if self.world == 1:
            return
        parameters = [p for p in self.optimizer.parameters if p.grad is not None]
        flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
        dist.all_reduce(flat)
        flat /= self.world
        for p, piece in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
            assert p.grad is not None
            p.grad.copy_(piece.view_as(p))

    @torch.no_grad()
    def update_average(self) -> None:
        decay = min(EMA_DECAY, self.steps / (self.steps + 50))
        for key, value in self.model.state_dict().items():
            self.average[key].lerp_(value, 1 - decay)

    def save(self) -> None:
        if self.rank:
            return
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "trained": TRAINED[self.name],
            "optimizer": self.optimizer.state(),
            "steps": self.steps,
            "seconds": self.seconds,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def should_stop(self) -> bool:
        flag = torch.tensor(float(self.seconds > self.minutes * 60))
        if self.world > 1:
            dist.broadcast(flag, 0)
        return bool(flag)

    def log(self, losses: list[float], recent: list[Figures], seconds_per_step: float) -> None:
        if self.rank:
            return
        row: Figures = {
            key: float(np.mean([f[key] for f in recent if key in f])) for key in {k: 0 for f in recent for k in f}
        }
        row |= {
            "loss": float(np.mean(losses)),
            "step": self.steps,
            "minutes": self.seconds / 60,
            "s_per_step": seconds_per_step,
        }
        with (self.folder / f"{self.name}.jsonl").open("a") as file:
            file.write(json.dumps({k: round(v, 5) for k, v in row.items()}) + "\n")
        print(" ".join(f"{k}={v:.4g}" for k, v in row.items()), flush=True)

    def train(self) -> None:
        clock = saved_at = logged_at = time.monotonic()
        losses: list[float] = []
        recent: list[Figures] = []
        while not self.should_stop():
            loss, figures = self.step()
            losses.append(loss)
            recent.append(figures)
            if self.steps % 5 == 0:
                self.update_average()
            now = time.monotonic()
            self.seconds, clock = self.seconds + now - clock, now
            if self.steps % LOG_STEPS == 0:
                self.log(losses, recent, (now - logged_at) / LOG_STEPS)
                losses, recent, logged_at = [], [], now
            if now - saved_at > CHECKPOINT_SECONDS:
                self.save()
                saved_at = now
        self.save()


def merge(model: Model, saved: dict[str, Any]) -> None:
    """Take from a finished stage's average what that stage trained."""
    state = model.state_dict()
    state.update({k: v for k, v in saved["average"].items() if k.startswith(saved["trained"])})
    model.load_state_dict(state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--rate", type=float, default=None)
    parser.add_argument("--start", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    Run(arguments).train()


if __name__ == "__main__":
    main()
