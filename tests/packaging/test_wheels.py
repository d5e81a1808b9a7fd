"""What customers receive: three wheels without anything that is the vendor's."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from .wheels import CUSTOMERS, build, build_all, sha256


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build_all(tmp_path_factory.mktemp("wheels"))


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


def test_customers_receive_no_code_that_signs_for_the_vendor(wheels: dict[str, Path]) -> None:
    # Installations sign their own reports. What the vendor signs, its server signs with joserfc, or a KMS does.
    for member in CUSTOMERS:
        with zipfile.ZipFile(wheels[member]) as archive:
            for name in (n for n in archive.namelist() if n.endswith(".py")):
                source = archive.read(name).decode()
                assert not re.search(
                    r"^\s*(import|from) (joserfc|securesystemslib|pkcs11|narrows_server)", source, re.M
                ), name


def test_the_weights_and_their_card_are_in_the_sdk(wheels: dict[str, Path]) -> None:
    inside = names(wheels["sdk"])

    assert "narrows/codec/weights/narrows-1.safetensors" in inside
    assert "narrows/codec/weights/MODEL_CARD.md" in inside


def test_all_four_share_one_version_and_siblings_are_pinned_to_it(wheels: dict[str, Path]) -> None:
    versions = {wheel.name.split("-")[1] for wheel in wheels.values()}
    assert len(versions) == 1

    for member, wheel in wheels.items():
        with zipfile.ZipFile(wheel) as archive:
            metadata = archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))).decode()
        needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: narrows-")]
        assert all(line.split(";")[0].strip().endswith(f"=={min(versions)}") for line in needed), member


def test_the_same_tree_gives_the_same_bytes(wheels: dict[str, Path], tmp_path: Path) -> None:
    for member in CUSTOMERS:
        assert sha256(build(member, tmp_path)) == sha256(wheels[member])
