"""Where things moved, for the encoder only: a dense flow of the sources (DIS; Kroeger et al., 2016)."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from narrows.codec.motion import FLOW_DIVISOR
from narrows.options import Preset

_SIDE_MIN = 64
"""Below this DIS has no pyramid to search."""


class FlowHints:
    """Backward flow from each frame to the one before."""

    def __init__(self, preset: Preset) -> None:
        quality = cv2.DISOPTICAL_FLOW_PRESET_FAST if preset is Preset.FAST else cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
        self._dis = cv2.DISOpticalFlow_create(quality)

    def between(self, current: NDArray[np.uint8], reference: NDArray[np.uint8]) -> Tensor:
        """Flow `[1, 2, H/4, W/4]` in luma pixels; both arguments are luma planes `[H, W]` of multiples of 16."""
        height, width = current.shape
        if min(height, width) < _SIDE_MIN:
            return torch.zeros(1, 2, height // FLOW_DIVISOR, width // FLOW_DIVISOR)
        flow = self._dis.calc(current, reference, None)
        blocks = flow.reshape(height // FLOW_DIVISOR, FLOW_DIVISOR, width // FLOW_DIVISOR, FLOW_DIVISOR, 2)
        return torch.from_numpy(blocks.mean((1, 3)).transpose(2, 0, 1)[None].astype(np.float32))
