"""From crf to the quality index of each frame: the more frames predict from one, the better it is coded."""

from __future__ import annotations

from narrows.codec.condition import QUALITY_MAX
from narrows.options import CRF_MAX, Preset

INTRA_OFFSET = 28
DEPTH_OFFSETS = (0, -12, -24, -36, -44)
"""
What each depth of a group gives away against its anchor. A frame between good references is good whatever it is given;
but giving away half as much again needs 0.4 to 4 % more bytes at equal PSNR or MS-SSIM, and two thirds of it about the
same.
"""

ERROR_PRICES = (80.0, 50.0, 30.0, 15.0, 15.0)
"""
What a squared rounding error of one step is worth in bits, by depth. High-rate theory says 8.7, but an error is also
carried on by the frames that predict from it.
"""

REFINED_ERROR_PRICE = 2.0
"""Refined latents lie where they should: against `ERROR_PRICES`, moving them by rounding costs more."""
REFINEMENT_STEPS = (10, 8, 6, 0, 0)
"""
Steps of `preset slow` by depth, for motion and then for the rest. The deepest frames own a twentieth of the bits and
would take half of the time.
"""


def refinement_steps(preset: Preset, depth: int) -> int:
    return REFINEMENT_STEPS[depth] if preset is Preset.SLOW else 0


def quality_index(crf: int, depth: int | None) -> int:
    """The quality index 0..126 of a frame at *depth* of its group; None for an intra frame."""
    return offset_quality(2 * (CRF_MAX - crf), depth)


def offset_quality(base: int, depth: int | None) -> int:
    """*base* moved to where a frame of this *depth* belongs."""
    return max(0, min(QUALITY_MAX, base + (INTRA_OFFSET if depth is None else DEPTH_OFFSETS[depth])))
