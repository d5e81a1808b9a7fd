"""What the SDK offers for its users' tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import narrows
import pytest
from narrows.settings import Settings
from narrows.testing import a_picture, settings_for_tests, write_clip


def test_a_users_test_encodes_without_a_vendor_and_touches_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NARROWS_LICENSE", "NARROWS_STATE", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # Graphs for ONNX Runtime, if it is installed.
    settings = settings_for_tests(tmp_path / "ours")
    clip = write_clip(tmp_path / "clip.y4m", width=64, height=48, frames=3)

    result = narrows.encode(clip, tmp_path / "clip.mkv", settings=settings)

    assert result.frame_count == 3
    assert narrows.usage_status(settings).unreported == 2  # The ledger's own beginning, and the encode.
    assert not (tmp_path / "elsewhere").exists()
    assert {path.name for path in (tmp_path / "cache").glob("*")} <= {"narrows"}


def test_the_same_arguments_give_the_same_picture() -> None:
    assert a_picture(48, 32, shift=2.5).to_bytes() == a_picture(48, 32, shift=2.5).to_bytes()
    assert a_picture(48, 32).to_bytes() != a_picture(48, 32, seed=1).to_bytes()


def test_a_clip_can_be_written_from_the_command_line(tmp_path: Path) -> None:
    target = tmp_path / "clip.y4m"

    subprocess.run(
        [sys.executable, "-m", "narrows.testing", str(target), "--size", "32x16", "--frames", "2"], check=True
    )

    assert target.stat().st_size == len(b"YUV4MPEG2 W32 H16 F25:1 Ip A1:1 C420jpeg\n") + 2 * (6 + 32 * 16 * 3 // 2)


def test_settings_name_nothing_of_the_machine(tmp_path: Path) -> None:
    settings = settings_for_tests(tmp_path)

    assert isinstance(settings, Settings)
    assert settings.license_path.is_relative_to(tmp_path)
    assert settings.state_folder.is_relative_to(tmp_path)
