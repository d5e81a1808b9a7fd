"""
`make cluster`: one clip in one process and on a local cluster of two workers, in one run; a worker killed on the way.

All have one thread each, so the ratio says what the cluster adds and takes, and not how threads share a machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from narrows import files
from narrows.cluster import Cluster
from narrows.settings import Settings
from narrows_licensing.development import development_license_file

from ..sdk.builders import a_clip, settings_in
from .workers import LocalCluster, local_cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Seconds on the wall, and whether the files have the same bytes."""

    frames: int
    size: str
    workers: int
    alone_seconds: float
    cluster_seconds: float
    killed_seconds: float
    is_same: bool
    load_average: float

    @property
    def ratio(self) -> float:
        return self.alone_seconds / self.cluster_seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--keyint", type=int, default=8)
    parser.add_argument("--size", default="320x192")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write what was measured to this file")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="narrows-cluster-") as folder:
        measured = _measure(Path(folder), options)
    sys.stdout.write(
        f"{measured.frames} frames of {measured.size}: {measured.alone_seconds:.1f} s in one process, "
        f"{measured.cluster_seconds:.1f} s on {measured.workers} workers ({measured.ratio:.2f} ×), "
        f"{measured.killed_seconds:.1f} s with one killed; "
        f"{'the same bytes' if measured.is_same else 'OTHER BYTES'}; load average {measured.load_average:.1f}\n"
    )
    if options.json:
        options.json.write_text(json.dumps(asdict(measured) | {"ratio": measured.ratio}, indent=2) + "\n")
    return 0 if measured.is_same else 1


def _measure(folder: Path, options: argparse.Namespace) -> Measured:
    torch.set_num_threads(1)
    settings = settings_in(folder)
    settings.license_path.write_text(development_license_file(datetime.now(UTC)))
    width, height = map(int, options.size.split("x"))
    clip = a_clip(folder / "clip.y4m", width=width, height=height, frames=options.frames)
    _encode(clip, folder / "warm.mp4", settings, options)
    alone = _encode(clip, folder / "alone.mp4", settings, options)
    with local_cluster(folder, workers=options.workers) as local, Cluster(local.address) as cluster:
        while cluster.thread_count() < options.workers:
            time.sleep(0.1)
        _encode(clip, folder / "warm-cluster.mp4", settings, options, cluster)
        shared = _encode(clip, folder / "shared.mp4", settings, options, cluster)
        killed = _encode(clip, folder / "killed.mp4", settings, options, cluster, kill=local)
    contents = {(folder / f"{name}.mp4").read_bytes() for name in ("alone", "shared", "killed")}
    return Measured(
        frames=options.frames,
        size=options.size,
        workers=options.workers,
        alone_seconds=alone,
        cluster_seconds=shared,
        killed_seconds=killed,
        is_same=len(contents) == 1,
        load_average=os.getloadavg()[0],
    )


def _encode(
    clip: Path,
    target: Path,
    settings: Settings,
    options: argparse.Namespace,
    cluster: Cluster | None = None,
    kill: LocalCluster | None = None,
) -> float:
    def on_progress(done: int, total: int | None, payload: int) -> None:
        if kill is not None:
            kill.workers[0].kill()

    began = time.monotonic()
    files.encode(
        clip,
        target,
        keyint=options.keyint,
        threads=1,
        settings=settings,
        cluster=cluster,
        on_progress=on_progress,
    )
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
