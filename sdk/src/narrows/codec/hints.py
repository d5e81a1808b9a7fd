"""Where things moved, for the encoder only: dense flows of the sources (DIS; Kroeger et al., 2016)."""

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
_BLOCK_SIDE = 16
_CHOICE_WINDOW = 3
"""Blocks each way over which two candidates are compared: motion that changes from block to block costs bits."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def fine_search() -> cv2.DISOpticalFlow:
    """
    A search down to single pixels.

    It predicts 1.5–3 dB better than the presets of OpenCV, which stop at half or a quarter of the resolution, and takes
    three times as long.
    """
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    search.setFinestScale(0)
    return search


def block_flow(current: Bytes, reference: Bytes, search: cv2.DISOpticalFlow) -> Tensor:
    """Backward flow *current* → *reference* `[2, H/4, W/4]` in luma pixels; sides are multiples of 4, at least 64."""
    return _averaged(search.calc(current, reference, None))


def _averaged(flow: Floats) -> Tensor:
    height, width = flow.shape[:2]
    blocks = flow.reshape(height // FLOW_DIVISOR, FLOW_DIVISOR, width // FLOW_DIVISOR, FLOW_DIVISOR, 2)
    return torch.from_numpy(blocks.mean((1, 3)).transpose(2, 0, 1).astype(np.float32))


def _fetched(picture: Floats | Bytes, flow: Floats) -> Floats:
    rows, columns = np.mgrid[0 : flow.shape[0], 0 : flow.shape[1]].astype(np.float32)
    fetched: Floats = cv2.remap(
        picture,
        columns + flow[..., 0],
        rows + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)
    return fetched


class FlowHints:
    """Backward flow from each frame to another."""

    def __init__(self, preset: Preset) -> None:
        self._is_fast = preset is Preset.FAST

    @property
    def _search(self) -> cv2.DISOpticalFlow:
        """
        A new one each time: in OpenCV's, the pictures before leave traces in the next flow.

        Measured, by up to 2.7 pixels: the same group would become other bytes on another thread or machine.
        """
        medium = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
        return cv2.DISOpticalFlow_create(medium) if self._is_fast else fine_search()

    def between(self, current: Bytes, reference: Bytes, halfway: Bytes | None = None) -> Tensor:
        """
        Flow `[1, 2, H/4, W/4]` in luma pixels; all arguments are luma planes `[H, W]` of multiples of 16.

        Over long distances a search loses what moves fast. With the picture *halfway* it is also led there in two
        steps, and each place takes what fetches it better.
        """
        height, width = current.shape
        if min(height, width) < _SIDE_MIN:
            return torch.zeros(1, 2, height // FLOW_DIVISOR, width // FLOW_DIVISOR)
        direct = self._search.calc(current, reference, None)
        if halfway is None or self._is_fast:
            return _averaged(direct)[None]
        onward = self._search.calc(current, halfway, None)
        led = onward + _fetched(self._search.calc(halfway, reference, None), onward)
        led = self._search.calc(current, reference, led)
        return _averaged(np.where(_is_better(led, direct, current, reference), led, direct))[None]


def _is_better(one: Floats, other: Floats, current: Bytes, reference: Bytes) -> NDArray[np.bool_]:
    """`[H, W, 1]`: where *one* fetches blocks of *current* from *reference* with the smaller error."""
    height, width = current.shape
    errors = [np.square(_fetched(reference, flow) - current) for flow in (one, other)]
    blocks = (errors[0] - errors[1]).reshape(height // _BLOCK_SIDE, _BLOCK_SIDE, width // _BLOCK_SIDE, _BLOCK_SIDE)
    means = cv2.blur(blocks.mean((1, 3)), (_CHOICE_WINDOW, _CHOICE_WINDOW))
    return np.kron(means < 0, np.ones((_BLOCK_SIDE, _BLOCK_SIDE), bool))[..., None]
