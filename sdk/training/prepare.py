"""
Build the training array `sequences.npy` `[N, T, CROP²·3/2]` uint8.

    python -m training.prepare MATERIAL_FOLDER OUT_FOLDER
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from training.manifest import SHARE_MAX, Material, read_manifest
from training.sequences import Bytes, clip_sequences, photo_sequences


def quotas(materials: list[Material], per_clip: int, per_photo: int) -> list[int]:
    """How many sequences each file may give, with no origin above `SHARE_MAX` of the total of its kind."""
    wanted = [per_clip if m.kind == "video" else per_photo for m in materials]
    totals = {
        kind: sum(w for m, w in zip(materials, wanted, strict=True) if m.kind == kind) for kind in ("video", "photo")
    }
    of_origin: Counter[tuple[str, str]] = Counter()
    for m, w in zip(materials, wanted, strict=True):
        of_origin[m.kind, m.origin] += w
    shares = {key: min(1.0, SHARE_MAX * totals[key[0]] / max(1, amount)) for key, amount in of_origin.items()}
    return [max(1, round(w * shares[m.kind, m.origin])) for m, w in zip(materials, wanted, strict=True)]


def _build(job: tuple[int, Material, int]) -> Bytes | str:
    index, material, quota = job
    cv2.setNumThreads(1)
    random = np.random.default_rng(index)
    make = clip_sequences if material.kind == "video" else photo_sequences
    try:
        sequences = list(make(material, quota, random))
    except Exception as error:  # One unreadable file must not stop an hour of preparation; it is printed.
        return f"{material.path.name}: {error!r}"
    if not sequences:
        return f"{material.path.name}: too short or too small"
    return np.stack(sequences)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("material", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--per-clip", type=int, default=24)
    parser.add_argument("--per-photo", type=int, default=12)
    arguments = parser.parse_args()
    allowed, refused = read_manifest(arguments.material)
    for material in refused:
        print(f"refused: {material.path.name} ({material.license})")
    jobs = [
        (i, m, q)
        for i, (m, q) in enumerate(zip(allowed, quotas(allowed, arguments.per_clip, arguments.per_photo), strict=True))
    ]
    sequences: list[Bytes] = []
    with multiprocessing.Pool(multiprocessing.cpu_count()) as pool:
        for done, built in enumerate(pool.imap_unordered(_build, jobs)):
            if isinstance(built, str):
                print("skipped:", built)
                continue
            sequences.append(built)
            if done % 20 == 0:
                print(f"{done}/{len(jobs)} files, {sum(map(len, sequences))} sequences", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    np.save(arguments.out / "sequences.npy", np.concatenate(sequences))
    print(f"{sum(map(len, sequences))} sequences in {arguments.out}")


if __name__ == "__main__":
    main()
