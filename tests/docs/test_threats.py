"""The threat model: every attack has its answer, and every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "threat-model.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.*?) ?\|$", PAGE, re.M)


def test_there_are_twenty_attacks_and_each_has_a_test_or_says_that_it_can_not_be_prevented() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 21))
    limits = PAGE.partition("## What cannot be prevented")[2]
    for number, _, answer, shown in ROWS:
        assert "`tests/" in shown or "**not prevented**" in answer, number
        if "below" in answer + shown:
            assert re.search(rf"\({number}\)", limits), number


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 20
    for file, test in named:
        text = (ROOT / file).read_text()
        assert not test or f"def {test}(" in text, f"{file}::{test}"
