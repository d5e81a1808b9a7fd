"""The player for browsers: the same symbols, the same pictures."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from .run import CHROMIUM, LEVELS_MAX, PLAYER

ROOT = PLAYER.parents[1]


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM.exists(), reason="chromium is not here: apt install chromium")
@pytest.mark.skipif(not (PLAYER / "node_modules" / "onnxruntime-web").exists(), reason="run: make player")
def test_a_clip_decoded_in_a_browser_is_the_clip_decoded_in_python() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.player.run", "--json", "--frames", "10", "--size", "64x48"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr + run.stdout
    found = json.loads(run.stdout)
    assert found["frames"] == 10
    assert found["difference_max"] <= LEVELS_MAX
    assert found["equal_samples"] > 0.99
    assert found["complaints"] == []
