"""
Golden files: packets, each after its length in four bytes, the pictures that they decode to, and their symbols' digest.

    python -m tests.golden.reading NAME [--threads 2] [--channels-last]     what this process makes of one, as JSON
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from narrows.codec import weights
from narrows.codec.decoder import FrameDecoder
from narrows.media.picture import Picture
from narrows.options import Engine
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "v0"
NAMES = ("visual", "fidelity-odd", "low-delay")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pictures as rows of bytes, and the SHA-256 of all symbols in coding order."""

    pictures: list[NDArray[np.uint8]]
    symbols_sha256: str
    model_id: str


def packets_of(name: str) -> list[bytes]:
    data, packets = (FOLDER / f"{name}.bin").read_bytes(), []
    while data:
        length = int.from_bytes(data[:4], "big")
        packets.append(data[4 : 4 + length])
        data = data[4 + length :]
    return packets


def pictures_of(name: str) -> NDArray[np.uint8]:
    with np.load(FOLDER / f"{name}.npz") as stored:
        pictures: NDArray[np.uint8] = stored["pictures"]
    return pictures


def decode(packets: list[bytes], *, engine: Engine = Engine.TORCH, frames_at_once: int = 1) -> Decoded:
    decoder, digest, pictures = (
        FrameDecoder(engine=engine, threads=frames_at_once),
        hashlib.sha256(),
        list[Future[Picture]](),
    )
    for packet in packets:
        pictures += decoder.begin(packet)
        reference = list(decoder._begun.values())[-1].reference.result()
        for symbols in (reference.motion_symbols, reference.symbols):
            digest.update(symbols.contiguous().numpy().astype("<i4").tobytes())
    decoder.close()
    assert decoder.header is not None
    flat = [_flat(picture.result()) for picture in pictures]
    return Decoded(flat, digest.hexdigest(), decoder.header.model_id.hex())


def _flat(picture: Picture) -> NDArray[np.uint8]:
    return np.frombuffer(picture.to_bytes(), np.uint8)


def in_channels_last() -> None:
    """Let this process hold the weights in the other order of memory."""
    model = weights.shipped_model()
    networks = copy.deepcopy(model.networks)
    networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    changed = weights.LoadedModel(networks, model.tables, model.model_id)
    weights.shipped_model = lambda: changed  # type: ignore[assignment]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--channels-last", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.channels_last:
        in_channels_last()
    found = {}
    for name in arguments.names:
        decoded = decode(packets_of(name))
        difference = np.abs(np.stack(decoded.pictures).astype(int) - pictures_of(name)).max()
        found[name] = {"symbols_sha256": decoded.symbols_sha256, "difference_max": int(difference)}
    capability = torch.backends.cpu.get_cpu_capability()
    print(json.dumps({"capability": capability, "found": found}))  # noqa: T201


if __name__ == "__main__":
    main()
