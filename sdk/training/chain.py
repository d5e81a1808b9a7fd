"""
Long chains without long memory: sequences played to and fro, coded a few frames at a time.

Training on a handful of frames and coding hundreds lets quality fall along the way. A chain goes on over several steps:
each begins with the reconstruction that the step before left, detached, so that the networks learn to work from
references like those they will meet.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from narrows.codec.entropy_model import CodedLatents
from narrows.codec.layers import pack420
from narrows.codec.model import Reference
from torch import Tensor

from training.examples import Batch
from training.sequences import hint_flow


class Chain:
    """One batch of sequences on its way; *quality_index* `[B, 1, 1, 1]` and *phase* stay for its whole life."""

    def __init__(self, batch: Batch, quality_index: Tensor, phase: int) -> None:
        self.batch = batch
        self.quality_index = quality_index
        self.phase = phase
        self.reference: Reference | None = None
        self.frame_count = 0
        self._position, self._direction = 0, 1
        self._dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def planes(self) -> Tensor:
        """The current frame, packed `[B, 96, H/8, W/8]`."""
        return pack420(self.batch.luma[:, self._position], self.batch.chroma[:, self._position])

    def advance(self) -> Tensor:
        """Move on to the next frame; the hints from it to the one before `[B, 2, H/4, W/4]`."""
        before = self._position
        if not 0 <= before + self._direction < self.batch.luma.shape[1]:
            self._direction = -self._direction
        self._position += self._direction
        self.frame_count += 1
        if self._direction > 0:
            return self.batch.hints[:, before]
        return torch.from_numpy(np.stack([self._backward_hint(i, before) for i in range(len(self.batch.luma))]))

    def _backward_hint(self, example: int, before: int) -> np.ndarray:
        luma = ((self.batch.luma[example, :, 0] + 0.5) * 255).round().byte().numpy()
        return hint_flow(luma[self._position], luma[before], self._dis)

    def keep(self, reference: Reference) -> None:
        """Leave *reference* for the next step, cut off from this step's graph."""

        def detached(latents: CodedLatents) -> CodedLatents:
            return CodedLatents(values=latents.values.detach(), symbols=latents.symbols.detach())

        self.reference = Reference(
            luma=reference.luma.detach(),
            chroma=reference.chroma.detach(),
            features=reference.features.detach(),
            latents=detached(reference.latents),
            motion=detached(reference.motion),
        )
