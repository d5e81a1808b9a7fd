"""
The whole training in one command, resumable.

    python -m training.run --material FOLDER --run FOLDER --minutes N

Prepares the examples once, trains `intra` and `motion` side by side, then `joint` with one single-threaded process per
core. Interrupt it whenever you like: the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path

Process = subprocess.Popen[bytes]


def start(arguments: list[str], **variables: str) -> Process:
    """A process of this package with one thread; OpenMP reads its number before torch is imported."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.Popen([sys.executable, "-m", *arguments], env=environment)


def finish(*processes: Process) -> None:
    """Wait for all; if one fails, stop the others and exit with its code."""
    codes = [process.wait() for process in processes]
    if any(codes):
        for process in processes:
            process.kill()
        raise SystemExit(max(codes))


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60, help="per stage")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    folder: Path = arguments.run
    data = folder / "data"
    if not (data / "sequences.npy").exists():
        finish(start(["training.prepare", str(arguments.material), str(data)]))

    def stage(name: str, *more: str) -> list[str]:
        where = ["--data", str(data), "--run", str(folder), "--minutes", str(arguments.minutes)]
        return ["training.train", name, *where, *more]

    finish(start(stage("intra")), start(stage("motion")))
    world = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
        "WORLD_SIZE": str(arguments.processes),
    }
    joint = stage("joint", "--start", str(folder / "intra.pt"), str(folder / "motion.pt"))
    finish(*(start(joint, RANK=str(rank), **world) for rank in range(arguments.processes)))
    finish(start(["training.export", str(folder / "joint.pt"), str(folder / "weights.safetensors")]))


if __name__ == "__main__":
    main()
