"""A folder that can't be written, forgets, or can be read by others is found before something is lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from narrows.doctor.state import examine_clock, examine_state, file_system_of
from narrows.finding import Finding, Outcome
from narrows.version import RELEASE_DATE
from narrows_licensing.testing import NOW


def found_in(folder: Path, mounts: Path = Path("/proc/self/mounts"), *, at: datetime = NOW) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine_state(folder, at=at, mounts=mounts)}


def mounted(tmp_path: Path, kind: str) -> Path:
    """A list of mounts in which *tmp_path* is a file system of *kind*."""
    (tmp_path / "mounts").write_text(f"/dev/root / ext4 rw 0 0\nnone {tmp_path} {kind} rw 0 0\n")
    return tmp_path / "mounts"


def test_nothing_is_left_behind_and_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert found_in(tmp_path / "not" / "there")["state folder"].outcome is Outcome.GOOD
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_can_not_be_written_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = found_in(tmp_path / "file" / "state")["state folder"]

    assert found.outcome is Outcome.BAD
    assert "NARROWS_STATE" in str(found.todo)


def test_keys_that_others_may_read_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "installation.key").touch(mode=0o600)
    assert found_in(tmp_path)["state folder"].outcome is Outcome.GOOD
    (tmp_path / "installation.key").chmod(0o644)
    found = found_in(tmp_path)["state folder"]
    assert found.outcome is Outcome.NOTICE
    assert "installation.key" in found.detail


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("ext4", Outcome.GOOD),
        ("xfs", Outcome.GOOD),
        ("tmpfs", Outcome.NOTICE),
        ("overlay", Outcome.NOTICE),
        ("nfs4", Outcome.BAD),
        ("cifs", Outcome.BAD),
    ],
)
def test_a_file_system_that_forgets_or_is_far_away_is_named(tmp_path: Path, kind: str, outcome: Outcome) -> None:
    found = found_in(tmp_path / "state", mounted(tmp_path, kind))["durability"]

    assert found.outcome is outcome
    assert kind in found.detail
    assert (found.todo is None) == (outcome is Outcome.GOOD)


def test_the_innermost_mount_counts_and_blanks_in_its_name_are_read(tmp_path: Path) -> None:
    inner = tmp_path / "a b"
    mounts = mounted(tmp_path, "overlay")
    with mounts.open("a") as file:
        file.write(f"/dev/vdb {str(inner).replace(' ', chr(92) + '040')} xfs rw 0 0\n")

    assert file_system_of(inner / "state", mounts) == "xfs"
    assert file_system_of(tmp_path / "other", mounts) == "overlay"
    assert file_system_of(tmp_path, tmp_path / "no such list") is None


def test_a_clock_before_this_release_is_bad() -> None:
    assert examine_clock(NOW.replace(year=RELEASE_DATE.year + 1)).outcome is Outcome.GOOD
    assert examine_clock(NOW.replace(year=1970) + timedelta(days=1)).outcome is Outcome.BAD
