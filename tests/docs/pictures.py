"""
The pictures of the README that no browser flow makes: a session in a terminal, and what `narrows compare` says.

    python -m tests.docs.pictures clip.mkv --frames 17

Of the comparison only the figures are shown, not the pictures: clips have owners.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from narrows.testing import write_clip
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from ..browser.served import chromium

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
COLUMNS: Final = 96
SESSION: Final = (
    "narrows encode talk.mp4 talk.mkv",
    "narrows license development",
    "narrows encode talk.mp4 talk.mkv --crf 32",
)


def draw_session(folder: Path) -> str:
    """The session typed in *folder*, which is empty, as an SVG that fetches nothing."""
    write_clip(folder / "talk.y4m", frames=9).rename(folder / "talk.mp4")  # FFmpeg looks at what is in a file.
    environment = {
        **os.environ,
        "HOME": str(folder),
        "COLUMNS": str(COLUMNS),
        "FORCE_COLOR": "1",
        "XDG_CONFIG_HOME": "",
        "XDG_STATE_HOME": "",
    }
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for command in SESSION:
        done = subprocess.run(
            ["bash", "-c", f"{command} 2>&1"], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        console.print(f"[bold green]$[/] [bold]{command}[/]", highlight=False)
        console.print(Text.from_ansi(at_the_end(done.stdout.replace(str(folder), "~"))))
        console.print()
    drawn = console.export_svg(title="narrows", theme=DIMMED_MONOKAI)
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.S)


def at_the_end(printed: str) -> str:
    """*printed* without what was overwritten: of a bar, the last state."""
    lines = [line.rpartition("\r")[2] for line in printed.splitlines()]
    bars = [number for number, line in enumerate(lines) if "━" in line]
    return "\n".join(line for n, line in enumerate(lines) if line.strip() and n not in bars[:-1])


def shoot_comparison(clip: Path, frames: int, folder: Path, target: Path) -> None:
    """What `narrows compare` says of *clip*, down to the curves."""
    environment = {
        **os.environ,
        "NARROWS_LICENSE": str(folder / "license.json"),
        "NARROWS_STATE": str(folder / "state"),
    }
    page = folder / "compare.html"
    subprocess.run(["narrows", "license", "development"], env=environment, check=True)
    subprocess.run(
        ["narrows", "compare", str(clip), "--frames", str(frames), "--out", str(page)], env=environment, check=True
    )
    with chromium() as browser:
        view = browser.new_page(viewport={"width": 1100, "height": 900})
        view.goto(page.as_uri())
        ends = view.evaluate("document.querySelectorAll('h2')[2].getBoundingClientRect().top")  # The stills' heading.
        view.screenshot(path=target, full_page=True, clip={"x": 0, "y": 0, "width": 1100, "height": ends - 10})


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both pictures into docs/images/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, nargs="?", help="a clip to compare on; without one the terminal only")
    parser.add_argument("--frames", type=int, default=17)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        (IMAGES / "terminal.svg").write_text(draw_session(Path(folder)))
    if chosen.clip is not None:
        with tempfile.TemporaryDirectory() as folder:
            shoot_comparison(chosen.clip, chosen.frames, Path(folder), IMAGES / "compare.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
