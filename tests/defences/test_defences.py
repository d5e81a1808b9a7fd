"""The short round of `make defences`: every defence is where it is said to be, and one is taken out."""

from __future__ import annotations

import pytest

from .defences import DEFENCES, Defence
from .run import ROOT, SOURCE, main, without

ROWS = [
    line.split("|")[1:-1]
    for line in (ROOT / "docs/explanation/security.md").read_text().splitlines()
    if line.startswith("| ") and line.split("|")[1].strip().isdigit()
]
BY_NUMBER = {int(row[0]): row for row in ROWS}


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: f"{defence.row}-{defence.what}".replace(" ", "-"))
def test_a_defence_stands_where_it_is_said_and_its_test_is_the_documented_one(defence: Defence) -> None:
    sources = {file: (SOURCE / "narrows_server" / file).read_text() for file, _, _ in defence.edits}
    for file, text, replacement in defence.edits:
        sources[file] = without(sources[file], text, replacement)
        compile(sources[file], file, "exec")
    module, name = defence.test.split(".")
    assert f"tests/server/test_{module}.py::test_{name}`" in BY_NUMBER[defence.row][3]


def test_every_row_of_the_page_has_a_defence_to_take_out() -> None:
    # The last row is schemathesis, which sends everything at everything.
    assert sorted({defence.row for defence in DEFENCES}) == sorted(BY_NUMBER)[:-1]


@pytest.mark.slow
def test_a_defence_that_is_gone_is_missed() -> None:
    assert main(["--row", "26", "--jobs", "1"]) == 0
