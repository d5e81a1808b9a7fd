"""
For the tests of whoever embeds the SDK: a license, a place of its own for usage, and a clip, with no vendor involved.

    from narrows.testing import settings_for_tests, write_clip

    def test_our_pipeline_encodes(tmp_path):
        clip = write_clip(tmp_path / "clip.y4m", frames=3)
        narrows.encode(clip, tmp_path / "clip.mkv", settings=settings_for_tests(tmp_path))

`python -m narrows.testing clip.y4m` writes such a clip, to try the command line with.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from narrows_licensing.development import development_license_file

from narrows.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from narrows.media.picture import Picture

RATE = 25  # Pictures a second.
PAN = 1.5  # Luma samples to the right from one picture to the next.


def settings_for_tests(folder: Path) -> Settings:
    """
    Settings with their license, ledger and keys under *folder*; the license is a development license, written there.

    What is encoded under it is marked as such, never billed and never reported.
    """
    folder.mkdir(parents=True, exist_ok=True)
    license_path = folder / "license.json"
    license_path.write_text(development_license_file(datetime.now(UTC)))
    return Settings(
        license_path=license_path, roots_path=None, state_folder=folder / "state", reports_in_background=False
    )


def a_picture(width: int = 64, height: int = 48, *, shift: float = 0.0, seed: int = 0) -> Picture:
    """A smooth texture, moved right by *shift* samples; the same arguments give the same picture."""
    import numpy as np

    from narrows.media.picture import Picture

    random = np.random.default_rng(seed)
    waves = random.uniform(0.02, 0.25, (6, 2))
    phases = random.uniform(0, 6.28, 6)

    def plane(columns: int, rows: int, scale: int, level: float) -> NDArray[np.uint8]:
        y, x = np.mgrid[0:rows, 0:columns] * scale
        total = sum(np.sin((x - shift) * a + y * b + p) for (a, b), p in zip(waves, phases, strict=True))
        return np.clip(level + 16 * np.asarray(total), 0, 255).astype(np.uint8)

    half = ((width + 1) // 2, (height + 1) // 2)
    return Picture(luma=plane(width, height, 1, 120), cb=plane(*half, 2, 110), cr=plane(*half, 2, 140))


def write_clip(target: Path, *, width: int = 320, height: int = 240, frames: int = 25) -> Path:
    """
    Write *frames* pictures of a panning texture, 8-bit 4:2:0 at 25 a second, losslessly as YUV4MPEG2 (`.y4m`).

    Raises VideoError if *target* cannot be written.
    """
    from narrows.media.raw import Y4MTarget

    clip = Y4MTarget(target, width=width, height=height, frame_rate=Fraction(RATE))
    for number in range(frames):
        clip.write(a_picture(width, height, shift=PAN * number))
    clip.finish()
    return target


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a clip."""
    parser = argparse.ArgumentParser(prog="python -m narrows.testing", description="Writes a clip to try Narrows with.")
    parser.add_argument("target", type=Path, help="the file to write, .y4m")
    parser.add_argument("--size", default="320x240", help="WIDTHxHEIGHT [default: %(default)s]")
    parser.add_argument("--frames", type=int, default=25, help="how many pictures [default: %(default)s]")
    options = parser.parse_args(arguments)
    width, height = (int(side) for side in options.size.split("x"))
    write_clip(options.target, width=width, height=height, frames=options.frames)


if __name__ == "__main__":
    main()
