"""Every decoder reads the same symbols from the golden files, and shows pictures that differ by a level at most."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from narrows.codec.weights import shipped_model
from narrows.options import Engine

from .reading import FOLDER, NAMES, decode, packets_of, pictures_of

BASELINE = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
"""No wider instructions than every x86-64 processor of the last fifteen years has."""


def stated(name: str) -> dict[str, str]:
    about: dict[str, str] = json.loads((FOLDER / f"{name}.json").read_text())
    return about


@pytest.mark.parametrize("name", NAMES)
def test_golden_files_are_of_the_weights_of_this_release(name: str) -> None:
    assert stated(name)["model_id"] == shipped_model().model_id.hex(), "run: python -m tests.golden.make"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("engine", "frames_at_once"), [(Engine.TORCH, 1), (Engine.TORCH, 3), (Engine.ONNX, 1), (Engine.ONNX, 3)]
)
def test_engines_and_frames_side_by_side_read_the_same_symbols(name: str, engine: Engine, frames_at_once: int) -> None:
    decoded = decode(packets_of(name), engine=engine, frames_at_once=frames_at_once)

    assert decoded.symbols_sha256 == stated(name)["symbols_sha256"]
    assert np.abs(np.stack(decoded.pictures).astype(int) - pictures_of(name)).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--threads", "2"], {}),
        (["--channels-last"], {}),
        (["--threads", "2", "--channels-last"], BASELINE),
    ],
    ids=["two threads", "channels last", "baseline instructions"],
)
def test_threads_memory_formats_and_instruction_sets_read_the_same_symbols(
    arguments: list[str], environment: dict[str, str]
) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.golden.reading", *NAMES, *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )

    made = json.loads(run.stdout)
    if environment:
        assert made["capability"] == "DEFAULT"
    for name in NAMES:
        assert made["found"][name]["symbols_sha256"] == stated(name)["symbols_sha256"]
        assert made["found"][name]["difference_max"] <= 1
