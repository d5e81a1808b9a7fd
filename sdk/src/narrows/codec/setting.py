"""What an inter frame is coded in: kept frames that it predicts from, and what encoder and decoder know before it."""

from __future__ import annotations

from dataclasses import dataclass

from narrows.codec.bitstream import crc_seed
from narrows.codec.condition import Condition
from narrows.codec.layers import PICTURE_MULTIPLE
from narrows.codec.model import Neighbours
from narrows.codec.reference import Reference


def latent_size(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of a picture's latents."""
    return -(-height // PICTURE_MULTIPLE), -(-width // PICTURE_MULTIPLE)


@dataclass(frozen=True, slots=True)
class Kept:
    """A coded frame that others may predict from; *order* counts packets, *crc* is its packet's."""

    position: int
    order: int
    reference: Reference
    quality_index: int
    crc: int


@dataclass(frozen=True, slots=True)
class Setting:
    """What an inter frame is coded in: the same for encoder and decoder, from what the packet says."""

    neighbours: Neighbours
    condition: Condition
    crc_seed: int

    @classmethod
    def of(cls, position: int, first: Kept, second: Kept, *, quality_index: int, is_visual: bool) -> Setting:
        kin = max(first, second, key=lambda kept: kept.order)
        offsets = first.position - position, second.position - position
        condition = Condition.of_frame(
            quality_index,
            visual=is_visual,
            distance=min(abs(offset) for offset in offsets),
            is_between=first.position != second.position,
            kin_quality=kin.quality_index,
        )
        neighbours = Neighbours(first.reference, second.reference, offsets, kin.reference)
        return cls(neighbours, condition, crc_seed(first.crc, second.crc))
