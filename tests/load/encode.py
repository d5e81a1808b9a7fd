"""
How much of an encode is metering: the time in which the ledger is opened and written, against the whole encode.

Measured in the same run on the same machine: an encode of ten seconds of a small picture through the SDK's public
encoder, and what metering adds to it, by itself. It adds the same to every encode, most of it two waits for the disk.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from narrows_licensing.development import development_license_file
from narrows_metering.record import Kind
from narrows_metering.testing import NOW, an_encode

METERING_ROUNDS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeShare:
    """Seconds of one encode, and of what metering does within it."""

    frames: int
    width: int
    height: int
    encode_seconds: float
    metering_seconds: float  # Open the installation and its ledger, append one record, close: median of many.

    @property
    def percent(self) -> float:
        return 100 * self.metering_seconds / self.encode_seconds


def measure_encode(folder: Path, *, width: int = 640, height: int = 360, frames: int = 250) -> EncodeShare:
    """Encode *frames* once, and meter many times. Imports torch, so it comes last."""
    import narrows
    from narrows.settings import Settings
    from narrows.usage.machine import open_meter

    from ..sdk.builders import a_picture

    (folder / "license.json").write_text(development_license_file(datetime.now(UTC)))
    settings = Settings(license_path=folder / "license.json", roots_path=None, state_folder=folder / "state")
    pictures = [a_picture(width, height, shift=1.5 * number) for number in range(frames)]
    began = time.perf_counter()
    with narrows.Encoder(width=width, height=height, settings=settings) as encoder:
        for picture in pictures:
            encoder.encode(picture)
        encoder.flush()
    encode_seconds = time.perf_counter() - began
    metering = []
    for _ in range(METERING_ROUNDS):
        began = time.perf_counter()
        with open_meter(settings) as meter:
            meter.ledger.append(Kind.ENCODE, an_encode(), time=NOW)
        metering.append(time.perf_counter() - began)
    return EncodeShare(
        frames=frames,
        width=width,
        height=height,
        encode_seconds=encode_seconds,
        metering_seconds=statistics.median(metering),
    )
