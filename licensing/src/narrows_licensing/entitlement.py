"""
What a license permits: how large, with which presets, and how many encodes at once.

There is no entitlement to decode. Nobody may be refused it, and a claim that is never refused would say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from narrows_licensing.claims import ClaimReader

PRESET_COUNT_MAX: Final = 16
PROFILE_COUNT_MAX: Final = 16
PIXELS_MAX: Final = 2**32  # Per frame.
CONCURRENT_ENCODES_MAX: Final = 1_000_000
PROFILES: Final = ("main",)  # The bitstream profiles there are.


class Overage(StrEnum):
    """How far a counted limit may be passed; what is beyond it is granted, and said to be beyond it."""

    NONE = "none"
    QUARTER = "1.25"
    HALF = "1.5"
    DOUBLE = "2"
    ALWAYS = "always"

    def stretch(self, limit: int) -> int | None:
        """Return the most that is granted where *limit* is agreed, rounded down; None where there is no end."""
        quarters = {Overage.NONE: 4, Overage.QUARTER: 5, Overage.HALF: 6, Overage.DOUBLE: 8}.get(self)
        return None if quarters is None else limit * quarters // 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlements:
    """What a license permits."""

    encode: bool
    presets: tuple[str, ...]  # Encoder presets by name; an empty tuple permits none.
    max_pixels: int  # Width × height of one frame, in luma samples.
    profiles: tuple[str, ...] = PROFILES  # Bitstream profiles by name; an empty tuple permits none.
    max_concurrent_encodes: int | None = None  # On one machine; of a floating license, the machines with a lease.
    overage: Overage = Overage.NONE  # Of `max_concurrent_encodes`.

    def claims(self) -> dict[str, Any]:
        """Return the member ``entitlements`` of a license's claims."""
        return {
            "encode": self.encode,
            "presets": list(self.presets),
            "profiles": list(self.profiles),
            "max_pixels": self.max_pixels,
            "max_concurrent_encodes": self.max_concurrent_encodes,
            "overage": self.overage.value,
        }

    @classmethod
    def read(cls, reader: ClaimReader) -> Entitlements:
        """Read what `claims` wrote; faults are raised as the reader's error."""
        entitlements = cls(
            encode=reader.boolean("encode"),
            presets=reader.identifiers("presets", count_max=PRESET_COUNT_MAX),
            profiles=reader.identifiers("profiles", count_max=PROFILE_COUNT_MAX),
            max_pixels=reader.integer("max_pixels", lowest=1, highest=PIXELS_MAX),
            max_concurrent_encodes=reader.integer_or_none(
                "max_concurrent_encodes", lowest=1, highest=CONCURRENT_ENCODES_MAX
            ),
            overage=reader.choice("overage", Overage),
        )
        reader.done()
        return entitlements
