"""
VMAF NEG v0.6.1, by an ffmpeg with libvmaf that runs as a process of its own: `pip install narrows[vmaf]`.

NEG ("no enhancement gain", Li et al., Netflix 2020) gives no credit for sharpening what the source did not have. The
model is part of libvmaf; where there is none, there is no VMAF, and the other metrics stand alone. Scores are integers
in 10⁻⁶ points, from the text that libvmaf writes. Its motion feature sees only the frames that are measured, the same
ones on both sides.
"""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from narrows.errors import VideoError
from narrows.media.picture import Picture

MODEL = "vmaf_v0.6.1neg"
MICRO = 1_000_000
TIMEOUT_SECONDS = 600
_FILTERS_TIMEOUT_SECONDS = 20


@cache
def find_ffmpeg() -> str | None:
    """The ffmpeg of imageio-ffmpeg if it is installed and has libvmaf."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:
        return None
    try:
        path = str(get_ffmpeg_exe())
        command = [path, "-hide_banner", "-filters"]
        listed = subprocess.run(  # noqa: S603  (a path that the package gives, and fixed words)
            command, capture_output=True, text=True, check=True, timeout=_FILTERS_TIMEOUT_SECONDS
        )
    except (RuntimeError, OSError, subprocess.SubprocessError):
        return None
    return path if " libvmaf " in listed.stdout else None


class VmafMeter:
    """Keeps the pictures shown to it in a folder of its own until they are scored."""

    def __init__(self, ffmpeg: str, width: int, height: int) -> None:
        self._ffmpeg, self._size = ffmpeg, f"{width}x{height}"
        self._folder = TemporaryDirectory(prefix="narrows-vmaf-")
        self._files = [Path(self._folder.name) / name for name in ("source.yuv", "decoded.yuv")]

    def add(self, source: Picture, decoded: Picture) -> None:
        """One picture and what became of it."""
        for path, picture in zip(self._files, (source, decoded), strict=True):
            with path.open("ab") as file:
                for plane in (picture.luma, picture.cb, picture.cr):
                    file.write(plane.tobytes())

    def score(self) -> int:
        """The mean over the pictures in 10⁻⁶ points. Raises VideoError if ffmpeg fails."""
        source, decoded = (str(path) for path in self._files)
        raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", self._size, "-r", "25"]
        # The log goes into the folder that the process runs in, so that no path needs quoting.
        graph = f"[0:v][1:v]libvmaf=model=version={MODEL}:log_fmt=json:log_path=vmaf.json:n_threads=1"
        command = [self._ffmpeg, "-v", "error", "-nostdin", *raw, "-i", decoded, *raw, "-i", source, "-lavfi", graph]
        try:
            subprocess.run(  # noqa: S603
                [*command, "-f", "null", "-"],
                cwd=self._folder.name,
                capture_output=True,
                text=True,
                check=True,
                timeout=TIMEOUT_SECONDS,
            )
            log = json.loads((Path(self._folder.name) / "vmaf.json").read_text("utf-8"), parse_float=Decimal)
            return round(Decimal(log["pooled_metrics"]["vmaf"]["mean"]) * MICRO)
        except subprocess.CalledProcessError as error:
            raise VideoError(f"libvmaf failed: {error.stderr.strip()[-300:]}") from error
        except (OSError, subprocess.SubprocessError, KeyError, TypeError, ValueError) as error:
            raise VideoError(f"libvmaf failed: {error}") from error

    def close(self) -> None:
        """Remove the pictures."""
        self._folder.cleanup()
