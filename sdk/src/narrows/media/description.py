"""
What a player must know of a video beside its samples: colours, the shape of a pixel, how the picture is turned.

Colours are code points of ISO/IEC 23091-2 (ITU-T H.273). The codec never looks at them; containers carry them along.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

UNSPECIFIED = 2
BT709 = 1
RANGE_UNKNOWN, RANGE_LIMITED, RANGE_FULL = 0, 1, 2

Matrix = tuple[int, int, int, int, int, int, int, int, int]
"""Row by row as in ISO/IEC 14496-12 §6.2.2: 16.16 fixed point, the last column 2.30."""

IDENTITY: Matrix = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_MATRIX_BYTES = 36
_MATRIX_COEFFICIENTS_RGB = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """Code points of H.273; *range* is 0 unknown, 1 limited, 2 full."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    range: int = RANGE_UNKNOWN

    @property
    def is_stated(self) -> bool:
        return self != Colour()


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """
    How to show pictures of *width* × *height* samples.

    *pixel_aspect* is the width of a pixel over its height; *display_matrix* turns and mirrors the picture, None: as it
    is.
    """

    width: int
    height: int
    colour: Colour = Colour()
    pixel_aspect: Fraction = Fraction(1)
    display_matrix: Matrix | None = None

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise by which a player turns the picture, in whole degrees, −180..180."""
        if self.display_matrix is None:
            return 0
        a, b = self.display_matrix[0], self.display_matrix[1]
        return -round(math.degrees(math.atan2(b, a)))


def matrix_from_bytes(data: bytes) -> Matrix | None:
    """The nine native-endian integers that FFmpeg hands over; None for a picture that stays as it is."""
    if len(data) < _MATRIX_BYTES:
        return None
    values = memoryview(data[:_MATRIX_BYTES]).cast("i").tolist()
    return as_matrix(values)


def as_matrix(values: list[int]) -> Matrix | None:
    """Nine integers as a matrix; None for the identity."""
    a, b, u, c, d, v, x, y, w = values
    matrix = (a, b, u, c, d, v, x, y, w)
    return None if (a, b, c, d) == (1 << 16, 0, 0, 1 << 16) else matrix


def matrix_of_rotation(degrees: float) -> Matrix | None:
    """The matrix that turns a picture counter-clockwise by *degrees*; None for none at all."""
    if degrees % 360 == 0:
        return None
    angle = math.radians(-degrees)
    cosine, sine = round(math.cos(angle) * (1 << 16)), round(math.sin(angle) * (1 << 16))
    return (cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30)
