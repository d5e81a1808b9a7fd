"""What a caller chooses: quality, preset, tune. Frozen, named, checked once here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from narrows.errors import VideoError

CRF_MAX = 63
CRF_DEFAULT = 32
KEYINT_DEFAULT = 128
KEYINT_MAX = 1024
BITS_MAX = 10**10
"""Of a rate or a buffer: an uncompressed picture of the largest size has fewer."""
_UNITS = {"": 1, "k": 1000, "M": 1_000_000, "G": 1_000_000_000}
SIDE_MIN = 16
SIDE_MAX = 8192


class Preset(StrEnum):
    """How much time the encoder takes. Decoding costs the same for all."""

    FAST = "fast"
    MEDIUM = "medium"
    SLOW = "slow"


class Tune(StrEnum):
    """What the encoder optimises: `visual` follows the human eye, `fidelity` follows PSNR."""

    VISUAL = "visual"
    FIDELITY = "fidelity"


class Device(StrEnum):
    """
    Where the networks run: `auto` takes a GPU if torch finds one. What decides on symbols runs on the CPU in any case.
    """

    AUTO = "auto"
    CUDA = "cuda"
    MPS = "mps"
    CPU = "cpu"


class Engine(StrEnum):
    """What runs the networks: `onnx` where ONNX Runtime is installed (`narrows[fast]`), else `torch`; same symbols."""

    AUTO = "auto"
    TORCH = "torch"
    ONNX = "onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """
    How to encode.

    *crf* 0–63, lower is better; *keyint* is the most frames from one key frame to the next; *low_delay*
    codes each frame as it comes, from the one before. *bitrate*, bits a second on average, takes the place of *crf*.
    *maxrate*, bits a second, and *bufsize*, bits, are a receiver's buffer that never overflows; without *bufsize* it
    holds one second of *maxrate*.
    """

    crf: int = CRF_DEFAULT
    preset: Preset = Preset.MEDIUM
    tune: Tune = Tune.VISUAL
    keyint: int = KEYINT_DEFAULT
    low_delay: bool = False
    bitrate: int | None = None
    maxrate: int | None = None
    bufsize: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= CRF_MAX:
            raise VideoError(f"crf {self.crf} is outside 0..{CRF_MAX}; lower is better, {CRF_DEFAULT} is the default")
        if not 1 <= self.keyint <= KEYINT_MAX:
            raise VideoError(f"keyint {self.keyint} is outside 1..{KEYINT_MAX}")
        for name in ("bitrate", "maxrate", "bufsize"):
            bits = getattr(self, name)
            if bits is not None and not 1 <= bits <= BITS_MAX:
                raise VideoError(f"{name} {bits} is outside 1..{BITS_MAX} bits")
        if self.bufsize is not None and self.maxrate is None:
            raise VideoError("bufsize is of use with maxrate only: give both")
        if self.bitrate is not None and self.maxrate is not None and self.maxrate < self.bitrate:
            raise VideoError(f"maxrate {self.maxrate} is below bitrate {self.bitrate}, so no stream has both")


def parse_bits(text: str) -> int:
    """Bits as people write them, `800k` or `1.5M`; raises VideoError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", text.strip())
    if match is None:
        raise VideoError(f"{text!r} is no number of bits; 800k and 1.5M are")
    return int(Fraction(match[1]) * _UNITS[match[2]])


def check_size(width: int, height: int) -> None:
    """Refuse a picture size that the bitstream can't carry, before anything is allocated for it."""
    if not (SIDE_MIN <= width <= SIDE_MAX and SIDE_MIN <= height <= SIDE_MAX):
        raise VideoError(f"{width}×{height} is outside {SIDE_MIN}×{SIDE_MIN}..{SIDE_MAX}×{SIDE_MAX}")


def check_content_class(name: str) -> None:
    """Refuse what cannot be the name of a class of content; an empty one is none."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}|", name):
        raise VideoError(f"content class {name[:40]!r}: not up to 32 lower-case letters, digits, - and _")
