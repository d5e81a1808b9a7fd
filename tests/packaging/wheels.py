"""
Builds the four wheels: `python -m tests.packaging.wheels --out dist`, which is what `make wheels` runs.

Twice the same tree gives the same bytes: hatchling takes all times from SOURCE_DATE_EPOCH, and here that is the time
of the last commit.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

ROOT = Path(__file__).parents[2]
CUSTOMERS = ("licensing", "metering", "sdk")
MEMBERS = (*CUSTOMERS, "server")
NO_COMMIT = "1577836800"  # 2020-01-01, where there is no git.


def build(member: str, folder: Path) -> Path:
    """The wheel of *member*, in *folder*."""
    before = set(folder.glob("*.whl"))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder.absolute())]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": last_commit()}
    subprocess.run(command, cwd=ROOT / member, check=True, capture_output=True, env=environment)
    (wheel,) = set(folder.glob("*.whl")) - before
    return wheel


def build_all(folder: Path) -> dict[str, Path]:
    """All four, by member; wheels that were there before are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("narrows*.whl"):
        earlier.unlink()
    return {member: build(member, folder) for member in MEMBERS}


def last_commit() -> str:
    """The time of the last commit in seconds, as text."""
    asked = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or NO_COMMIT


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and write SHA256SUMS beside the wheels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    folder: Path = parser.parse_args(arguments).out
    sums = [f"{sha256(wheel)}  {wheel.name}" for wheel in build_all(folder).values()]
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    Console().print("\n".join(sums), soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
