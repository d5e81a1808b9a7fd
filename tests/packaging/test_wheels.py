"""What customers receive: three wheels without anything that is the vendor's."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CUSTOMERS = ("licensing", "metering", "sdk")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("wheels")
    for member in (*CUSTOMERS, "server"):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / member)]
        subprocess.run(command, cwd=ROOT / member, check=True, capture_output=True)
    return {member: next((folder / member).glob("*.whl")) for member in (*CUSTOMERS, "server")}


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_each_wheel_holds_one_typed_package(wheels: dict[str, Path]) -> None:
    for wheel in wheels.values():
        packages = {n.split("/")[0] for n in names(wheel) if ".dist-info" not in n}
        assert len(packages) == 1
        assert f"{packages.pop()}/py.typed" in names(wheel)


def test_customers_receive_no_server_no_training_and_no_third_party_binaries(wheels: dict[str, Path]) -> None:
    for member in CUSTOMERS:
        for name in names(wheels[member]):
            assert "narrows_server" not in name
            assert "training" not in name
            assert not name.endswith((".so", ".dll", ".dylib", ".mp4", ".mkv"))


def test_the_weights_and_their_card_are_in_the_sdk(wheels: dict[str, Path]) -> None:
    inside = names(wheels["sdk"])

    assert "narrows/codec/weights/narrows-1.safetensors" in inside
    assert "narrows/codec/weights/MODEL_CARD.md" in inside


def test_siblings_are_pinned_exactly(wheels: dict[str, Path]) -> None:
    for member, wheel in wheels.items():
        with zipfile.ZipFile(wheel) as archive:
            metadata = archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))).decode()
        needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: narrows-")]
        assert all("==0.1.0" in line for line in needed), member
