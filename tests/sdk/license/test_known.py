"""The memory of the state folder: kept in whole, never set back, and never in the way of an encode."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from narrows.license.known import memory_path, open_remembering, read_known
from narrows_licensing.document import OpenedFile, open_file
from narrows_licensing.memory import NOTHING, Known
from narrows_licensing.testing import NOW, Vendor, a_license
from narrows_licensing.verdict import Refused

VENDOR = Vendor()


def open_here(folder: Path, version: int) -> OpenedFile | Refused:
    text = VENDOR.license_file(a_license(), bundle=VENDOR.bundle(version=version), revoked=[], list_version=version)
    return open_remembering(folder, lambda known: open_file(text, roots=VENDOR.roots, at=NOW, known=known))


def versions(folder: Path) -> tuple[int, int]:
    found = open_here(folder, 1)
    assert isinstance(found, OpenedFile)
    assert found.bundle is not None
    assert found.revocations is not None
    return found.bundle.version, found.revocations.version


def test_what_one_process_has_seen_the_next_one_knows(tmp_path: Path) -> None:
    open_here(tmp_path / "state", 3)

    assert versions(tmp_path / "state") == (3, 3)


def test_many_at_once_keep_the_highest(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda version: open_here(tmp_path, version), [4, 2, 9, 1, 8, 3, 7, 5, 6] * 3))

    assert versions(tmp_path) == (9, 9)


def test_nothing_is_written_when_nothing_was_learned(tmp_path: Path) -> None:
    open_here(tmp_path, 5)
    before = memory_path(tmp_path).stat()
    open_here(tmp_path, 4)

    assert memory_path(tmp_path).stat() == before


@pytest.mark.parametrize("damage", ["", "{", "x" * 100, '{"format": "narrows-known/1"}'])
def test_a_damaged_memory_is_as_good_as_none_and_is_made_anew(tmp_path: Path, damage: str) -> None:
    memory_path(tmp_path).write_text(damage)

    assert read_known(tmp_path) == NOTHING
    assert isinstance(open_here(tmp_path, 2), OpenedFile)
    assert versions(tmp_path) == (2, 2)


def test_a_memory_that_can_not_be_kept_does_not_stop_anybody(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")

    assert isinstance(open_here(tmp_path / "state", 2), OpenedFile)


def test_a_refused_file_teaches_nothing(tmp_path: Path) -> None:
    text = VENDOR.license_file(a_license(), root_keys=VENDOR.root_keys[:1])
    refused = open_remembering(tmp_path, lambda known: open_file(text, roots=VENDOR.roots, at=NOW, known=known))

    assert isinstance(refused, Refused)
    assert read_known(tmp_path) == Known()
