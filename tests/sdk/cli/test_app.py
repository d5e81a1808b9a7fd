"""The command line: text for people, JSON for programs, exit codes for scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from narrows.cli.app import app
from typer.testing import CliRunner, Result

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


def test_packaging_and_comparing_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NARROWS_LICENSE", str(tmp_path / "license.json"))
    monkeypatch.setenv("NARROWS_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    a_clip(tmp_path / "source.y4m", width=64, height=64, frames=3)

    def run(words: str) -> Result:
        return CliRunner().invoke(app, words.split())

    assert run("license development").exit_code == 0
    assert run("encode source.y4m coded.mp4 --bitrate 60k --maxrate 1M --json").exit_code == 0
    packaged = run("package coded.mp4 --hls hls --json")
    compared = run("compare source.y4m --frames 2 --crf 20 --crf 50 --against x264 --out page.html --json")

    assert json.loads(packaged.stdout)["segment_count"] == 1
    assert (tmp_path / "hls" / "master.m3u8").exists()
    assert len(json.loads(compared.stdout)["points"]) == 7
    assert "<svg" in (tmp_path / "page.html").read_text()
    assert run("package source.y4m --hls other").exit_code == 1
    assert run("compare source.y4m --against x266").exit_code == 1
