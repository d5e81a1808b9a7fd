"""Clean virtual environments with nothing in them but what a wheel asks for."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]


def make_environment(folder: Path, *requirements: str, wheels: Path, needs_torch: bool = False) -> Path:
    """
    A new environment in *folder* with *requirements*, ours from the folder *wheels*; returns its folder of programs.

    torch comes first and by itself, as the README says, or an index's newest build with CUDA could be taken.
    """
    venv.create(folder, with_pip=True, clear=True)
    programs = folder / "bin"
    pip = [str(programs / "pip"), "install", "-qq", "--disable-pip-version-check"]
    if needs_torch:
        subprocess.run([*pip, torch_pin()], check=True)
    subprocess.run([*pip, "--find-links", str(wheels.absolute()), *requirements], check=True)
    return programs


def torch_pin() -> str:
    """The build of torch that the Makefile names."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    return next(line.split(":=")[1].strip() for line in lines if line.startswith("TORCH :="))


def installed(programs: Path) -> list[str]:
    """What is installed in the environment of *programs*, as `name==version`."""
    listed = subprocess.run(
        [str(programs / "pip"), "freeze", "--all", "--disable-pip-version-check"],
        check=True,
        capture_output=True,
        text=True,
    )
    return listed.stdout.split("\n")
