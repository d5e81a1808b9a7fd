"""
Where things moved, for the encoder only: block matching that weighs what a vector fetches against what it costs.

Candidates come from a dense flow of the sources (DIS; Kroeger et al., 2016), from the forecast, from neighbouring
blocks (PatchMatch; Barnes et al., 2009) and from small steps aside; what counts is the error of what they fetch from
the *decoded* reference. Blocks of 16 pixels are divided into four where that saves more than it costs. Dense flows
alone predict 1 to 5 dB worse: they are smooth where objects end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from narrows.codec.motion import FLOW_DIVISOR, Hints
from narrows.options import Preset

_SIDE_MIN = 64
"""Below this DIS has no pyramid to search."""
_SYMBOL_BITS = 10.0
"""About what it costs that a symbol of motion is not zero; its size comes on top."""
_STEP = 0.5
"""About the quantisation step of motion."""
_AROUND = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1))
_CHOICE_BITS = 5.0
"""About what it costs to take one reference alone."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Effort:
    """
    How hard to search: the lengths in luma pixels of steps aside, for blocks of 16 and of 8, and how samples between
    samples are guessed.
    """

    lengths: tuple[tuple[float, ...], tuple[float, ...]]
    interpolation: int


_FAST = _Effort(((1.0, 0.5), ()), cv2.INTER_LINEAR)
_THOROUGH = _Effort(((1.0, 0.5), (0.5, 0.25)), cv2.INTER_CUBIC)
"""
More is not better: steps of up to 16 pixels find what fetches less error, and the frames need 2 to 5 % more bytes. What
they find is further from what really moved, and so from what the forecast and the neighbours say.
"""


def fine_search() -> cv2.DISOpticalFlow:
    """
    A search down to single pixels.

    It predicts 1.5–3 dB better than the presets of OpenCV, which stop at half or a quarter of the resolution, and takes
    three times as long.
    """
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    search.setFinestScale(0)
    return search


class BlockMatching:
    """
    The vectors of one picture's blocks into another: what they add to *places*, where each sample is expected.

    *bit_error* is how much squared error (of 8-bit samples) one bit has to save.
    """

    def __init__(
        self,
        current: Floats,
        reference: Bytes,
        places: Floats,
        *,
        side: int,
        bit_error: float,
        interpolation: int,
    ) -> None:
        self._current, self._reference, self._places = current, reference, places
        self.side, self._bit_error, self._interpolation = side, bit_error, interpolation
        height, width = current.shape
        self.beyond = np.zeros((height // side, width // side, 2), np.float32)
        self.errors = self._error(self.beyond)
        """The squared error of each block."""

    def consider(self, beyond: Floats) -> None:
        """Take each vector of *beyond* `[H/side, W/side, 2]` where it makes the better bargain."""
        errors = self._error(beyond)
        beside = _neighbours(self.beyond)
        expected = (sum(beside) - np.maximum.reduce(beside) - np.minimum.reduce(beside)) / 2  # The median of the four.
        saved = self.errors - errors
        spent = self._bit_error * (_vector_bits(beyond - expected) - _vector_bits(self.beyond - expected))
        is_better = saved > spent
        self.beyond[is_better] = beyond[is_better]
        self.errors = np.where(is_better, errors, self.errors)

    def propagate(self) -> None:
        """Offer every block the vectors beside it."""
        for side in range(4):
            self.consider(_neighbours(self.beyond)[side])

    def step_aside(self, length: float) -> None:
        """Offer every block vectors that lie *length* pixels beside its own."""
        for step in _AROUND:
            self.consider(self.beyond + np.array(step, np.float32) * length)

    def _error(self, beyond: Floats) -> Floats:
        height, width = self._current.shape
        places = self._places + _enlarged(beyond, (width, height))
        missed = _fetched(self._reference, places, self._interpolation) - self._current
        size = (width // self.side, height // self.side)
        errors: Floats = cv2.resize(missed * missed, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return errors * self.side**2


def _enlarged(field: Floats, size: tuple[int, int]) -> Floats:
    """*field* repeated up to *size* (width, height)."""
    enlarged: Floats = cv2.resize(field, size, interpolation=cv2.INTER_NEAREST).astype(np.float32)
    return enlarged


def _places(height: int, width: int) -> Floats:
    """Column and row of each sample `[H, W, 2]`."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([columns, rows], -1)


def _fetched(picture: Bytes | Floats, places: Floats, interpolation: int = cv2.INTER_CUBIC) -> Floats:
    """What stands in *picture* at *places*."""
    fetched: Floats = cv2.remap(picture, places, None, interpolation, borderMode=cv2.BORDER_REPLICATE).astype(
        np.float32
    )
    return fetched


def _neighbours(field: Floats) -> list[Floats]:
    """What stands to the left, right, above and below; beyond the edge what stands at it."""
    wide = cv2.copyMakeBorder(field, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    return [wide[1:-1, :-2], wide[1:-1, 2:], wide[:-2, 1:-1], wide[2:, 1:-1]]


def _vector_bits(difference: Floats) -> Floats:
    """About what a vector costs that lies *difference* `[..., 2]` pixels beside the expected one."""
    bits: Floats = 2 * np.log2(1 + 2 * np.abs(difference)).sum(-1)
    return bits


def _division_bits(vectors: Floats) -> Floats:
    """About what it costs that the blocks of 8 in each square of four have *vectors* of their own."""
    height, width = vectors.shape[:2]
    four = vectors.reshape(height // 2, 2, width // 2, 2, 2)
    across, down = four[:, :, :, 0] - four[:, :, :, 1], four[:, 0] - four[:, 1]
    details = (across[:, 0] + across[:, 1], down[:, :, 0] + down[:, :, 1], across[:, 0] - across[:, 1])
    symbols = np.abs(np.stack(details)) * (2**-0.5 / _STEP)
    bits: Floats = np.where(symbols < 0.5, 0, _SYMBOL_BITS + 2 * np.log2(0.5 + symbols)).sum((0, -1))
    return bits.astype(np.float32)


def _blocks(field: Floats, factor: int) -> Floats:
    """Means over squares of *factor*."""
    height, width = field.shape[:2]
    means: Floats = field.reshape(height // factor, factor, width // factor, factor, -1).mean((1, 3))
    return means.astype(np.float32)


def _repeated(field: NDArray[Any], factor: int) -> NDArray[Any]:
    """Each value for *factor* × *factor* smaller blocks."""
    return field.repeat(factor, 0).repeat(factor, 1)


def _choice(current: Bytes, references: tuple[Bytes, Bytes], flows: tuple[Tensor, Tensor], bit_error: float) -> Tensor:
    """Where one reference alone is worth its bits `[1, 1, H/8, W/8]`."""
    height, width = current.shape
    places = _places(height, width)
    fetched = []
    for reference, flow in zip(references, flows, strict=True):
        field = _enlarged(np.ascontiguousarray(flow[0].permute(1, 2, 0).numpy()), (width, height))
        fetched.append(_fetched(reference, places + field))
    errors = [
        64 * _blocks(np.square(picture - current)[..., None], 8)[..., 0]
        for picture in ((fetched[0] + fetched[1]) / 2, fetched[0], fetched[1])
    ]
    errors[1] += bit_error * _CHOICE_BITS
    errors[2] += bit_error * _CHOICE_BITS
    choice = np.array([0, -1, 1], np.float32)[np.argmin(errors, 0)]
    return torch.from_numpy(choice)[None, None]


def _divided(whole: BlockMatching, quarters: BlockMatching, *, bit_error: float) -> Floats:
    """The vectors `[H/8, W/8, 2]` of the best division of the blocks of 16."""
    divided = 4 * _blocks(quarters.errors[..., None], 2)[..., 0] + bit_error * _division_bits(quarters.beyond)
    is_divided = _repeated((divided < whole.errors)[..., None], 2)
    vectors: Floats = np.where(is_divided, quarters.beyond, _repeated(whole.beyond, 2))
    return vectors


@dataclass(frozen=True, slots=True)
class Target:
    """A reference as the search sees it: its *source* and *decoded* luma, the *forecast* `[1, 2, H/8, W/8]` of flow."""

    source: Bytes
    decoded: Bytes
    forecast: Tensor
    halfway: Bytes | None = None
    """The source halfway between, for references that are far away."""


class MotionSearch:
    """Backward flow from each frame to its references."""

    def __init__(self, preset: Preset) -> None:
        self._is_fast = preset is Preset.FAST
        self._effort = _FAST if self._is_fast else _THOROUGH

    @property
    def _search(self) -> cv2.DISOpticalFlow:
        """
        A new one each time: in OpenCV's, the pictures before leave traces in the next flow.

        Measured, by up to 2.7 pixels: the same group would become other bytes on another thread or machine.
        """
        medium = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
        return cv2.DISOpticalFlow_create(medium) if self._is_fast else fine_search()

    def hints(self, current: Bytes, first: Target, second: Target | None, *, bit_error: float) -> Hints:
        """
        What luma *current* `[H, W]`, sides multiples of 16, fetches from where; without a *second* all is fetched twice
        from the first. *bit_error* is how much squared error one bit has to save.
        """
        flow = self._flow(current, first, bit_error)
        still = torch.zeros(1, 1, current.shape[0] // 8, current.shape[1] // 8)
        if second is None:
            return Hints((flow, flow), still)
        other = self._flow(current, second, bit_error)
        choice = _choice(current, (first.decoded, second.decoded), (flow, other), bit_error)
        return Hints((flow, other), choice)

    def _flow(self, current: Bytes, target: Target, bit_error: float) -> Tensor:
        """Flow `[1, 2, H/8, W/8]` in luma pixels."""
        expected = np.ascontiguousarray(target.forecast[0].permute(1, 2, 0).cpu().numpy())
        wanted = current.astype(np.float32)
        height, width = current.shape
        places = _places(height, width) + _enlarged(expected, (width, height))
        dense = [_blocks(flow, FLOW_DIVISOR) - expected for flow in self._dense(current, target.source, target.halfway)]
        dense.append(-expected)
        levels: list[BlockMatching] = []
        for side, lengths in zip((2 * FLOW_DIVISOR, FLOW_DIVISOR), self._effort.lengths, strict=True):
            level = BlockMatching(
                wanted,
                target.decoded,
                places,
                side=side,
                bit_error=bit_error,
                interpolation=self._effort.interpolation,
            )
            if levels:
                level.consider(_repeated(levels[-1].beyond, 2))
            for field in dense:
                level.consider(_blocks(field, side // FLOW_DIVISOR))
            level.propagate()
            for length in lengths:
                level.step_aside(length)
            if lengths:
                level.propagate()
            levels.append(level)
        flow = expected + _divided(*levels, bit_error=bit_error)
        return torch.from_numpy(np.ascontiguousarray(flow.transpose(2, 0, 1)))[None]

    def _dense(self, current: Bytes, reference: Bytes, halfway: Bytes | None) -> Iterator[Floats]:
        """
        Flows `[H, W, 2]` of the sources.

        Over long distances a dense search loses what moves fast: with the picture *halfway* it is also led there in
        two steps.
        """
        if min(current.shape) < _SIDE_MIN:
            return
        yield self._search.calc(current, reference, None).astype(np.float32)
        if halfway is None or self._is_fast:
            return
        onward = self._search.calc(current, halfway, None)
        rest = _fetched(self._search.calc(halfway, reference, None), _places(*current.shape) + onward, cv2.INTER_LINEAR)
        yield self._search.calc(current, reference, (onward + rest).astype(np.float32)).astype(np.float32)
