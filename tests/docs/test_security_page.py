"""How the server is defended: every line names a test, and every test that is named exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "security.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.*?) ?\|$", PAGE, re.M)


def test_every_line_names_a_test_and_says_where_its_limit_is() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, len(ROWS) + 1))
    limits = PAGE.partition("## What is not defended")[2]
    for number, _, answer, shown in ROWS:
        assert "`tests/" in shown, number
        if "below" in answer + shown:
            assert re.search(rf"\({number}\)", limits), number


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 50
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"
