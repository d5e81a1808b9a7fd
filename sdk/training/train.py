"""
Train one stage, resumably.

    python -m training.train STAGE --data FOLDER --run FOLDER --minutes N [--start CHECKPOINT]

Stages: `intra`; `motion` (warped originals, pulled to the hints); `inter` (chains that predict from reconstructions,
the intra networks at rest); `filter` (loop filters alone, on what the rest makes); `joint` (the same chains, all
networks). Minutes are processor time of one process. Start with `RANK`/`WORLD_SIZE`/`MASTER_*` set to average
the gradients of several single-threaded processes (gloo). A checkpoint is written every few minutes; the same
command resumes.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.distributed as dist
from narrows.codec.condition import QUALITY_MAX
from narrows.codec.model import Model
from torch import Tensor, nn

from training.chain import Chain
from training.examples import Batch, Examples
from training.optimizer import EMA_DECAY, Optimizer
from training.sequences import CROP, SEQUENCE_FRAMES
from training.start import prepared_model
from training.steps import Figures, intra_step, joint_step, motion_step

CHECKPOINT_SECONDS = 180
LOG_STEPS = 50
WARM_UP_STEPS = 30
CHAIN_STEPS = 3
"""A chain is an intra frame and this many steps of groups."""
DECAY_FROM = 0.3
"""The rate stays until this part of the stage, then falls linearly to nothing."""

TRAINED = {"intra": "intra.", "motion": "inter.motion.", "inter": "inter.", "filter": "", "joint": ""}
"""The prefix of the weights that a stage trains, and that a later stage takes from it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How much one step sees."""

    batch: int
    frames: int
    rate: float
    crop: int = CROP


STAGES = {
    "intra": Stage(batch=8, frames=1, rate=1e-3),
    "motion": Stage(batch=3, frames=SEQUENCE_FRAMES, rate=2e-3, crop=192),
    "inter": Stage(batch=4, frames=SEQUENCE_FRAMES, rate=1e-3, crop=192),
    "filter": Stage(batch=4, frames=SEQUENCE_FRAMES, rate=2e-3, crop=192),
    "joint": Stage(batch=4, frames=SEQUENCE_FRAMES, rate=1e-3, crop=192),
}


def keep_memory() -> None:
    """
    Let the C library keep what was freed (glibc): a step frees and wants the same gigabyte again and again.

    Given back to the system and faulted in anew it takes a quarter of the time of a step.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for parameter in (-1, -3):  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h.
        mallopt(parameter, (1 << 31) - 1)


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
            "inter": [self.model.inter],
            "filter": [self.model.intra.filter, self.model.inter.filter],
            "joint": [self.model.intra, self.model.inter],
        }
        saved: dict[str, Any] | None = None
        if self.checkpoint.exists():
            saved = torch.load(self.checkpoint, weights_only=False)
            self.model.load_state_dict(saved["model"])
            self.steps, self.seconds = saved["steps"], saved["seconds"]
        for path in arguments.start if saved is None else []:
            merge(self.model, torch.load(path, weights_only=False))
        # oneDNN's fast paths want channels last; so do the depthwise layers (four times as fast).
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = {k: v.clone() for k, v in (saved["average"] if saved else self.model.state_dict()).items()}
        self.optimizer = Optimizer(trained[self.name], arguments.rate or self.stage.rate)
        if saved:
            self.optimizer.load(saved["optimizer"])
        if self.name == "filter":
            self.model.requires_grad_(False)
            for module in trained[self.name]:
                module.requires_grad_(True)
        self.chain: Chain | None = None
        seed = self.steps * 1000 + self.rank
        torch.manual_seed(seed)
        self.random = np.random.default_rng(seed)

    @property
    def done(self) -> float:
        """The part of the stage's time that has passed."""
        return min(1.0, self.seconds / 60 / self.minutes)

    def rate_scale(self) -> float:
        decay = 1.0 if self.done < DECAY_FROM else max(0.01, 1 - (self.done - DECAY_FROM) / (1 - DECAY_FROM))
        return min(1.0, (self.steps + 1) / WARM_UP_STEPS) * decay

    def draw(self) -> tuple[Batch, Tensor, Tensor]:
        """A batch, a quality index and a tune for each of its examples."""
        size = self.stage.batch
        batch = self.examples.draw(size, self.stage.frames, self.random, self.stage.crop)
        quality_index = torch.randint(0, QUALITY_MAX + 1, (size, 1, 1, 1)).float()
        return batch, quality_index, torch.randint(0, 2, (size, 1, 1, 1)).float()

    def step(self) -> tuple[float, Figures]:
        with torch.autocast("cpu", torch.bfloat16):
            loss, figures = self._loss()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._share_gradients()
        with_gradient = [p for p in self.optimizer.parameters if p.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(with_gradient, 2.0)
        if torch.isfinite(norm):
            self.optimizer.step(self.rate_scale())
        self.steps += 1
        return float(loss.detach()), figures

    def _loss(self) -> tuple[Tensor, Figures]:
        if self.name == "intra":
            return intra_step(self.model, *self.draw())
        if self.name == "motion":
            batch, quality_index, _ = self.draw()
            return motion_step(self.model, batch, quality_index, self.random)
        # By the count of steps, so that every process begins its chains at the same time.
        if self.chain is None or self.steps % CHAIN_STEPS == 0:
            self.chain = Chain(*self.draw())
        return joint_step(
            self.model,
            self.chain,
            self.random,
            has_intra=self.name in ("joint", "filter"),
            unrolls=self.name != "filter",
        )

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
        clock = time.process_time()
        saved_at = logged_at = time.monotonic()
        losses: list[float] = []
        recent: list[Figures] = []
        while not self.should_stop():
            loss, figures = self.step()
            losses.append(loss)
            recent.append(figures)
            if self.steps % 5 == 0:
                self.update_average()
            spent, now = time.process_time(), time.monotonic()
            self.seconds, clock = self.seconds + spent - clock, spent
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
    keep_memory()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    Run(arguments).train()


if __name__ == "__main__":
    main()
