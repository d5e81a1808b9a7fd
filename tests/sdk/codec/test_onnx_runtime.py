"""ONNX Runtime leaves no trace of its maker's telemetry: no id of the machine, nothing kept to be sent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN_A_GRAPH = """
from narrows.codec.acceleration import accelerate
from narrows.codec.weights import shipped_model
import pathlib, sys
accelerate(shipped_model().networks, pathlib.Path(sys.argv[1]))
"""
EXAMINE = "from narrows.doctor.software import examine_software; list(examine_software())"


@pytest.mark.parametrize("program", [RUN_A_GRAPH, EXAMINE], ids=["networks", "doctor"])
def test_it_keeps_nothing_but_our_graphs(program: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for name in ("home", "cache"):
        (tmp_path / name).mkdir()

    subprocess.run([sys.executable, "-c", program, str(tmp_path / "graphs")], env=environment, check=True)

    assert {path.name for path in (tmp_path / "cache").iterdir()} <= {"narrows"}
    assert list((tmp_path / "home").iterdir()) == []


def test_nobody_loads_it_but_one() -> None:
    """Whoever does without `onnx_runtime` has it report."""
    room = Path(__file__).parents[3] / "sdk"
    loading = [path.name for path in room.rglob("*.py") if "import onnxruntime" in path.read_text()]

    assert loading == ["onnx_runtime.py"]
