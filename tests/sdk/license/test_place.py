"""Encodes side by side have a place each, and a killed one leaves its place to whoever starts again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from narrows.license.place import Place, take_place


def taken(folder: Path) -> Place:
    place = take_place(folder)
    assert place is not None
    return place


def test_each_has_the_first_place_that_is_free(tmp_path: Path) -> None:
    first, second = taken(tmp_path), taken(tmp_path)
    assert [first.number, second.number] == [0, 1]

    first.leave()
    first.leave()
    third = taken(tmp_path)
    assert third.number == 0
    for place in (second, third):
        place.leave()


def test_a_place_that_had_a_lease_comes_before_all_others(tmp_path: Path) -> None:
    (tmp_path / "lease-7.json").touch()
    (tmp_path / "lease-9999.json").touch()  # No place has this number.

    places = [taken(tmp_path), taken(tmp_path)]
    assert [place.number for place in places] == [7, 0]
    for place in places:
        place.leave()


def test_a_process_that_is_killed_leaves_its_place(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib\nfrom narrows.license.place import take_place\n"
        "place = take_place(pathlib.Path(sys.argv[1]))\nprint(place.number, flush=True)\ntime.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"0\n"
    other = taken(tmp_path)
    assert other.number == 1
    process.kill()
    process.communicate()

    again = taken(tmp_path)
    assert again.number == 0
    for place in (other, again):
        place.leave()
