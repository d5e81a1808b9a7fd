"""The short form of `make pages`: every page over some thousand rollup rows of a few dozen customers."""

from __future__ import annotations

import pytest

from ..server.postgres import PostgresMissing
from .fill import Size
from .run import LIMIT_MILLISECONDS, measure

LOADED = 3  # All tests at once on two cores: here the pages are walked, and `make pages` judges them.


def test_every_page_answers_over_the_rollups_of_many_customers() -> None:
    try:
        counts, timed = measure(Size(asset_rollups=24_000, customers=40), times=3)
    except PostgresMissing as missing:
        pytest.skip(str(missing))

    assert counts["asset_rollup"] >= 24_000
    pages = [one for one in timed if one.is_page]
    assert len(pages) > 50
    assert {one.path: one.p50 for one in pages if one.p50 > LOADED * LIMIT_MILLISECONDS} == {}
