"""Counting encodes: those that run, and no others, however they ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from narrows.license.running import begin, counted


def count(folder: Path) -> int:
    with counted(folder) as running:
        return running


def test_encodes_are_counted_while_they_run(tmp_path: Path) -> None:
    first, second = begin(tmp_path), begin(tmp_path)
    assert count(tmp_path) == 2
    first.release()
    first.release()
    assert count(tmp_path) == 1
    second.release()
    assert count(tmp_path) == 0


def test_a_killed_encode_is_not_counted(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib; from narrows.license.running import begin\n"
        "held = begin(pathlib.Path(sys.argv[1])); print('running', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert count(tmp_path) == 1
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert count(tmp_path) == 0
    assert not list((tmp_path / "running").glob("*.encode"))
