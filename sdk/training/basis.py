"""
The transforms that the linear paths start from: Karhunen–Loève bases of 16×16 blocks of the training data.

Chroma is scaled by the weight that the distortion gives it, so that the order of the basis follows what counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from narrows.codec.hints import MotionSearch, Target
from narrows.codec.layers import BLOCK_SAMPLES, PLANES, pack420
from narrows.codec.motion import FLOW_DIVISOR, warp420
from narrows.codec.reference import luma_bytes
from narrows.options import Preset
from torch import Tensor

from training.examples import Examples
from training.sequences import CROP

CHROMA_WEIGHT = (0.125 / 64 / (0.75 / 256)) ** 0.5
"""Square root of a chroma sample's weight against a luma sample's in the 6:1:1 distortion."""
SAMPLE_COUNT = 500
BIT_ERROR = 100.0


@dataclass(frozen=True, slots=True)
class Basis:
    """Rows of *analysis*, columns of *synthesis* and the standard deviations, strongest first."""

    analysis: Tensor
    synthesis: Tensor
    deviations: Tensor


def _basis(covariance: Tensor, weights: Tensor) -> Basis:
    energies, vectors = torch.linalg.eigh(covariance)
    vectors = vectors.flip(1).float()
    return Basis(
        analysis=vectors.T * weights[None],
        synthesis=vectors / weights[:, None],
        deviations=energies.flip(0).clamp_min(1e-12).sqrt().float(),
    )


@torch.no_grad()
def find_bases(examples: Examples, seed: int = 1) -> tuple[Basis, Basis]:
    """Bases of (pictures, warped residuals) over `SAMPLE_COUNT` sequences."""
    weights = torch.cat([torch.ones(64), torch.full((PLANES - 64,), CHROMA_WEIGHT)]).repeat_interleave(4)
    pictures = torch.zeros(BLOCK_SAMPLES, BLOCK_SAMPLES, dtype=torch.double)
    residuals = pictures.clone()
    search, still = MotionSearch(Preset.MEDIUM), torch.zeros(1, 2, CROP // FLOW_DIVISOR, CROP // FLOW_DIVISOR)
    count = 0
    for i in np.random.default_rng(seed).choice(len(examples), min(SAMPLE_COUNT, len(examples)), replace=False):
        luma, chroma = examples.sequence(int(i), 0, 2)
        now_luma, before_luma = luma_bytes(luma[1]), luma_bytes(luma[0])
        hints = search.hints(now_luma, Target(before_luma, before_luma, still), None, bit_error=BIT_ERROR)
        before, now = pack420(luma[:1], chroma[:1]), pack420(luma[1:], chroma[1:])
        warped = warp420(luma[:1], chroma[:1], hints.flows[0])
        for total, planes in ((pictures, before), (residuals, now - warped)):
            blocks = F.pixel_unshuffle(planes, 2).permute(0, 2, 3, 1).reshape(-1, BLOCK_SAMPLES) * weights
            total += (blocks.T @ blocks).double()
        count += len(blocks)
    return _basis(pictures / count, weights), _basis(residuals / count, weights)
