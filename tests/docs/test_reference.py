"""The generated reference pages are what the code says today."""

from __future__ import annotations

import pytest

from .reference import PAGES, REFERENCE


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_current(name: str) -> None:
    assert (REFERENCE / name).read_text() == PAGES[name](), "run: make reference"
