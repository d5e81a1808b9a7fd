"""The command line: text for people, JSON for programs, exit codes for scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.sdk.builders import a_clip

NARROWS = [sys.executable, "-c", "from narrows.cli.app import main; main()"]


def narrows(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "NARROWS_LICENSE": str(folder / "license.json"),
        "NARROWS_STATE": str(folder / "state"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [*NARROWS, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_a_newcomers_session(tmp_path: Path) -> None:
    source = a_clip(tmp_path / "source.y4m", frames=3)
    coded, decoded = tmp_path / "coded.mkv", tmp_path / "decoded.y4m"

    refused = narrows(tmp_path, "encode", str(source), str(coded))
    assert refused.returncode == 1
    assert "no_license" in refused.stderr
    assert "narrows license development" in " ".join(refused.stderr.split())

    assert narrows(tmp_path, "license", "development").returncode == 0
    verified = narrows(tmp_path, "license", "verify", "--json")
    assert json.loads(verified.stdout)["verdict"] == "granted"

    encoded = json.loads(narrows(tmp_path, "encode", str(source), str(coded), "--crf", "40", "--json").stdout)
    assert encoded["frame_count"] == 3
    assert (
        json.loads(narrows(tmp_path, "probe", str(coded), "--json").stdout)["payload_bytes"] == encoded["payload_bytes"]
    )
    assert json.loads(narrows(tmp_path, "decode", str(coded), str(decoded), "--json").stdout)["frame_count"] == 3
    assert json.loads(narrows(tmp_path, "usage", "status", "--json").stdout)["unreported"] == 2
    assert json.loads(narrows(tmp_path, "usage", "verify", "--json").stdout)["verified_records"] == 2


def test_wrong_usage_is_exit_code_two(tmp_path: Path) -> None:
    assert narrows(tmp_path, "encode", "only-one-argument").returncode == 2
    assert narrows(tmp_path, "encode", "a.mp4", "b.mkv", "--crf", "64").returncode == 2
