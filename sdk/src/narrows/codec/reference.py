"""What later frames may predict from: reconstructions, and the decoder's state that goes with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from narrows.codec.layers import pack420, round_through
from narrows.codec.motion import MOTION_LATENTS, Motion, mean_velocity

REFERENCE_LEVELS = 1023
"""References are rounded to 10 bits, so that a difference between two devices cannot build up."""
FEATURE_UNIT = 64
VELOCITY_UNIT = 64


@dataclass(frozen=True, slots=True)
class Reference:
    """
    A coded frame. The reconstruction is in −½..½.

    *luma* `[B, 1, H, W]`, *chroma* `[B, 2, H/2, W/2]`, *features* `[B, 96, H/8, W/8]`, None until an intra frame is
    adopted; *velocity* in luma pixels per frame `[B, 2, H/8, W/8]`, None after an intra frame; *symbols* and
    *motion_symbols* `[B, C, H/16, W/16]`, *quality_index* `[B, 1, 1, 1]`.
    """

    luma: Tensor
    chroma: Tensor
    features: Tensor | None
    velocity: Tensor | None
    symbols: Tensor
    motion_symbols: Tensor
    quality_index: Tensor

    @property
    def planes(self) -> Tensor:
        return pack420(self.luma, self.chroma)


def luma_bytes(luma: Tensor) -> NDArray[np.uint8]:
    """*luma* `[1, H, W]` in −½..½ as `[H, W]` in 8 bits."""
    return ((luma[0] + 0.5) * 255).round().byte().cpu().numpy()


def _rounded(x: Tensor, unit: int) -> Tensor:
    return round_through(x * unit) / unit


def rounded_features(features: Tensor) -> Tensor:
    return _rounded(features, FEATURE_UNIT)


def settled(samples: Tensor) -> Tensor:
    """A plane of a reconstruction, clamped and rounded as encoder and decoder share it."""
    levels = samples.clamp(-0.5, 0.5) * REFERENCE_LEVELS + REFERENCE_LEVELS / 2
    return round_through(levels) / REFERENCE_LEVELS - 0.5


def settle(
    luma: Tensor,
    chroma: Tensor,
    features: Tensor | None,
    symbols: Tensor,
    quality_index: Tensor,
    *,
    motion: Motion | None = None,
    offsets: tuple[int, int] = (0, 0),
) -> Reference:
    """The reference that *luma* and *chroma*, `settled`, and rounded *features* make."""
    return Reference(
        luma=luma,
        chroma=chroma,
        features=features,
        velocity=None if motion is None else _rounded(mean_velocity(motion, offsets), VELOCITY_UNIT),
        symbols=symbols,
        motion_symbols=(
            symbols.new_zeros(symbols.shape[0], MOTION_LATENTS, *symbols.shape[-2:])
            if motion is None
            else motion.symbols
        ),
        quality_index=quality_index,
    )


def detached(reference: Reference) -> Reference:
    """The same reference, cut off from the graph that made it."""
    return replace(
        reference,
        luma=reference.luma.detach(),
        chroma=reference.chroma.detach(),
        features=None if reference.features is None else reference.features.detach(),
        velocity=None if reference.velocity is None else reference.velocity.detach(),
        symbols=reference.symbols.detach(),
        motion_symbols=reference.motion_symbols.detach(),
    )
