"""
Make the golden files of this version again: after new weights, or a change of the bitstream.

    python -m tests.golden.make

While the version is 0 that is allowed with every release. From version 1 on, golden files are only ever added.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import narrows
import numpy as np
from narrows.options import Tune
from narrows.testing import a_picture, settings_for_tests

from .reading import FOLDER, Decoded, decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one golden file holds."""

    width: int
    height: int
    frames: int
    crf: int
    tune: Tune = Tune.VISUAL
    low_delay: bool = False
    keyint: int = 128

    def packets(self) -> list[bytes]:
        with tempfile.TemporaryDirectory() as folder:
            encoder = narrows.Encoder(
                width=self.width,
                height=self.height,
                crf=self.crf,
                tune=self.tune,
                low_delay=self.low_delay,
                keyint=self.keyint,
                engine="torch",
                settings=settings_for_tests(Path(folder)),
            )
            with encoder:
                pictures = [a_picture(self.width, self.height, shift=1.75 * i) for i in range(self.frames)]
                packets = [p for picture in pictures for p in encoder.encode(picture)] + encoder.flush()
                return [packet.data for packet in packets]


CASES = {
    "visual": Case(width=64, height=48, frames=12, crf=24),
    "fidelity-odd": Case(width=75, height=51, frames=10, crf=8, tune=Tune.FIDELITY),
    "low-delay": Case(width=48, height=80, frames=5, crf=40, low_delay=True, keyint=3),
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, case in CASES.items():
        packets = case.packets()
        decoded = decode(packets)
        _write(name, packets, decoded)
        print(f"{name}: {sum(map(len, packets))} bytes, symbols {decoded.symbols_sha256[:16]}")  # noqa: T201


def _write(name: str, packets: list[bytes], decoded: Decoded) -> None:
    (FOLDER / f"{name}.bin").write_bytes(b"".join(len(p).to_bytes(4, "big") + p for p in packets))
    np.savez_compressed(FOLDER / f"{name}.npz", pictures=np.stack(decoded.pictures))
    about = {"model_id": decoded.model_id, "frames": len(decoded.pictures), "symbols_sha256": decoded.symbols_sha256}
    (FOLDER / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
