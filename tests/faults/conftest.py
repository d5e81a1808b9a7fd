"""A vendor on each kind of database, on a disk: what a killed server leaves is what is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..databases import KINDS
from ..load.vendor import Vendor, make_vendor
from ..server.postgres import Postgres, PostgresMissing, running_postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    try:
        with running_postgres() as server:
            yield server
    except PostgresMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=KINDS)
def vendor(request: pytest.FixtureRequest, tmp_path: Path) -> Vendor:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").fresh_database()
    return make_vendor(tmp_path / "home", url)


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Vendor:
    return make_vendor(tmp_path / "home")
