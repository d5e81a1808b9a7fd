"""A few seconds of fuzzing in every run of the tests; `make fuzz SECONDS=600` takes its time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .targets import TARGETS, seeds

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", list(TARGETS))
def test_valid_and_cut_off_input_ends_well(name: str) -> None:
    for seed in seeds(name):
        for length in (len(seed), len(seed) // 2, 7, 0):
            TARGETS[name](seed[:length])


@pytest.mark.parametrize("name", list(TARGETS))
def test_a_few_seconds_find_nothing(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", name, "--seconds", "3"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert "DONE" in done.stderr
