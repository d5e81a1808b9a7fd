"""
What an encode costs when the vendor's server is gone, beside one whose license names no server, in the same run.

    python sdk/benchmarks/vendor_gone.py

Both encode the same frames, in turn; processor time counts, as others may be at work here. Exits with 1 if the one
whose reports find nobody takes more than 1 % longer.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import narrows
import numpy as np
from narrows.media.picture import Picture
from narrows.settings import Settings
from narrows_licensing.testing import Vendor, a_license

PERCENT_MAX = 1.0
ROUNDS = 5
FRAMES, WIDTH, HEIGHT = 17, 352, 288
NOBODY = "http://127.0.0.1:9"


def main() -> int:
    """Measure and print; 1 if the bar is missed."""
    pictures = [_picture(number) for number in range(FRAMES)]
    with tempfile.TemporaryDirectory() as folder:
        machines = {name: _machine(Path(folder) / name, url) for name, url in (("alone", None), ("gone", NOBODY))}
        taken: dict[str, list[float]] = {name: [] for name in machines}
        for _ in range(ROUNDS + 1):
            for name, settings in machines.items():
                taken[name].append(_encode(settings, pictures))
    alone, gone = (statistics.median(taken[name][1:]) for name in ("alone", "gone"))  # The first one warms up.
    percent = 100 * (gone / alone - 1)
    print(f"no server named {alone:.3f} s, server gone {gone:.3f} s of processor time: {percent:+.2f} %")
    return int(percent > PERCENT_MAX)


def _machine(folder: Path, url: str | None) -> Settings:
    vendor, license = Vendor(), a_license()
    folder.mkdir()
    (folder / "roots.json").write_text(vendor.roots.to_json())
    terms = replace(license.metering, report_url=url)
    (folder / "license.json").write_text(vendor.license_file(replace(license, metering=terms)))
    return Settings(
        license_path=folder / "license.json", roots_path=folder / "roots.json", state_folder=folder / "state"
    )


def _picture(number: int) -> Picture:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    luma = (128 + 60 * np.sin((columns + 2 * number) / 9) * np.cos(rows / 7)).astype(np.uint8)
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    return Picture(luma=luma, cb=chroma, cr=chroma)


def _encode(settings: Settings, pictures: list[Picture]) -> float:
    began = time.process_time()
    with narrows.Encoder(width=WIDTH, height=HEIGHT, settings=settings) as encoder:
        for picture in pictures:
            encoder.encode(picture)
        encoder.flush()
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
