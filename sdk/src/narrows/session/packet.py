"""What an encoder gives and a decoder takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Packet:
    """
    One coded frame, in coding order. *pts* and *dts* count frames; *dts* of the first few may be negative, as other
    encoders' are.
    """

    data: bytes
    pts: int
    dts: int
    is_keyframe: bool
