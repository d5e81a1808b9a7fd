"""
A newcomer who follows the tutorials word for word: what `make newcomer` runs.

The wheels are built, and each tutorial's blocks go into one shell in an empty folder with an empty home: what stands
behind a prompt is typed, what is Python is run. The first command that ends otherwise than the page says ends it all.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from ..docs.blocks import Step, script, steps
from .wheels import ROOT, build_all

TUTORIALS: Final = ROOT / "docs" / "tutorials"
# In the order in which a newcomer reads them; the second goes on where the first ended.
PAGES: Final = ("first-encode.md", "from-a-clip-to-an-invoice.md")
MILESTONES: Final = {
    "First own encode": "narrows encode",
    "First invoice": "narrows-server close",
    "First invoice checked": "narrows-recompute",
}
console = Console()


def follow(all_steps: Sequence[Step], folder: Path) -> list[tuple[int, float]]:
    """Type the steps in *folder*; the exit code and the seconds of each that was reached. Output goes to the screen."""
    home = folder / "home"
    home.mkdir()
    environment = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    # How packages are found is this machine's business, as a company's mirror would be.
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HTTPS_"))}
    python = folder / "python3"
    python.symlink_to(Path(sys.executable).resolve())
    environment["PATH"] = f"{folder}:{environment['PATH']}"
    read, write = os.pipe()
    started = time.time()
    with subprocess.Popen(
        ["bash", "-c", f"exec 3>&{write}\n{script(all_steps)}"], cwd=folder, env=environment, pass_fds=[write]
    ):
        os.close(write)
        with os.fdopen(read) as told:
            ended = [line.split() for line in told]
    times = [started, *(float(line[2]) for line in ended)]
    return [(int(line[1]), after - before) for line, before, after in zip(ended, times, times[1:], strict=False)]


def seconds_until(command: str, todo: Sequence[Step], done: Sequence[tuple[int, float]]) -> float:
    """How long it took until *command* had first succeeded; infinite if it never did."""
    total = 0.0
    for step, (code, seconds) in zip(todo, done, strict=False):
        total += seconds
        if step.command.startswith(command) and code == 0:
            return total
    return float("inf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if a page does not do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="append", help="only this tutorial; may be given again")
    pages = parser.parse_args(arguments).page or PAGES
    todo = [step for page in pages for step in steps((TUTORIALS / page).read_text())]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_all(folder / "wheels")
        done = follow(todo, folder)
    table = Table("seconds", "command", title="A newcomer, from empty folder and home")
    for (_, seconds), step in zip(done, todo, strict=False):
        table.add_row(f"{seconds:.1f}", step.command.splitlines()[0])
    table.add_row(f"{sum(seconds for _, seconds in done):.1f}", "in all")
    console.print(table)
    for milestone, command in MILESTONES.items():
        console.print(f"{milestone}: {seconds_until(command, todo, done):.0f} s after the folder was empty")
    if len(done) == len(todo) and done[-1][0] == todo[-1].exit_code:
        return 0
    console.print(f"[red]the page says {todo[len(done) - 1]}, but it ended with {done[-1][0]}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
