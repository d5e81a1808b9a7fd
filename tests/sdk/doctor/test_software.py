"""What is installed is named with its version; what can't work here is found, and said with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from narrows.doctor.software import (
    examine_parts,
    examine_python,
    examine_software,
    examine_threads,
    examine_torch,
    processors,
)
from narrows.finding import Outcome


def test_here_everything_is_good_and_the_codec_was_tried() -> None:
    found = {finding.check: finding for finding in examine_software()}

    assert all(finding.outcome is Outcome.GOOD for name, finding in found.items() if name != "threads")
    assert "128×96 was coded and decoded" in found["codec"].detail


def test_an_old_python_is_bad() -> None:
    assert examine_python((3, 10, 4)).outcome is Outcome.BAD
    assert examine_python((3, 11, 0)).outcome is Outcome.GOOD


@pytest.mark.parametrize(
    ("installed", "outcome", "says"),
    [
        ({"narrows": "1.2.0", "narrows-metering": "1.2.0"}, Outcome.GOOD, "1.2.0"),
        ({"narrows": "1.2.0", "narrows-metering": "1.1.0"}, Outcome.BAD, "narrows-metering 1.1.0"),
        ({"narrows": "1.2.0", "narrows-metering": None}, Outcome.BAD, "narrows-metering is missing"),
        ({"narrows": None, "narrows-metering": None}, Outcome.GOOD, "from a checkout"),
    ],
)
def test_parts_of_different_releases_are_bad(installed: dict[str, str | None], outcome: Outcome, says: str) -> None:
    found = examine_parts(installed)

    assert (found.outcome, says in found.detail) == (outcome, True)
    assert (found.todo is None) == (outcome is Outcome.GOOD)


def test_a_build_for_cuda_where_there_is_no_gpu_is_noticed() -> None:
    mistaken = examine_torch("2.13.0+cu130", has_gpu=False, build="13.0")

    assert mistaken.outcome is Outcome.NOTICE
    assert "download.pytorch.org/whl/cpu" in str(mistaken.todo)
    assert examine_torch("2.13.0+cu130", has_gpu=True, build="13.0").outcome is Outcome.GOOD
    assert examine_torch("2.13.0+cpu", has_gpu=False, build=None).outcome is Outcome.GOOD


def test_more_threads_than_processors_are_noticed() -> None:
    assert examine_threads(2, processors=2).outcome is Outcome.GOOD
    assert examine_threads(64, processors=2).todo == "set OMP_NUM_THREADS=2"


@pytest.mark.parametrize(("cpu_max", "at_most"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", 10**6)])
def test_a_container_has_the_processors_of_its_quota(tmp_path: Path, cpu_max: str, at_most: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{cpu_max}\n")

    assert 1 <= processors(tmp_path / "cpu.max") <= at_most
    assert processors(tmp_path / "missing") >= 1
