"""The databases that everything here is shown on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..server.postgres import Postgres, PostgresMissing, running_postgres


@pytest.fixture(scope="session")
def postgres_or_not() -> Iterator[Postgres | str]:
    """A PostgreSQL of our own, or why there is none."""
    try:
        with running_postgres() as server:
            yield server
    except PostgresMissing as missing:
        yield str(missing)


@pytest.fixture(params=["sqlite", "postgresql"])
def postgres(request: pytest.FixtureRequest) -> Postgres | None:
    """None for SQLite."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("postgres_or_not")
    if isinstance(server, str):
        pytest.skip(server)
    assert isinstance(server, Postgres)
    return server
