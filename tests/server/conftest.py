"""A real state folder with real keys and a real database for every test, copied from one that is made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from narrows_server.app import create_app
from narrows_server.office import Office, initialise, open_office
from narrows_server.settings import DATABASE_VARIABLE, Settings

from ..databases import folder_without_waiting
from .builders import VENDOR, Browser, Clock, Site, a_contract, a_site
from .postgres import Postgres, PostgresMissing, running_postgres


@dataclass(frozen=True, slots=True)
class Made:
    """What `init` leaves: a state folder, and a database in it or at a URL."""

    home: Path
    url: str | None

    @classmethod
    def on(cls, home: Path, url: str | None) -> Made:
        initialise(Settings.read({DATABASE_VARIABLE: url or ""}, home=home), VENDOR, clock=Clock())
        return cls(home, url)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder for a test, gone after it."""
    folder = folder_without_waiting("narrows-test-")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def made_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made.on(tmp_path_factory.mktemp("made") / "home", None)


@pytest.fixture(scope="session")
def made_on_postgresql(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Made:
    return Made.on(tmp_path_factory.mktemp("made") / "home", postgres.fresh_database())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def home(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """
    A state folder as `init` leaves it; while the test runs, the environment says where its database is.

    Twice, once for each kind of database: see `pytest_generate_tests`.
    """
    made = request.getfixturevalue(f"made_on_{database_kind}")
    home = Path(shutil.copytree(made.home, tmp_path / "home"))
    if made.url is None:
        monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
        yield home
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    url = postgres.copy_of(made.url)
    monkeypatch.setenv(DATABASE_VARIABLE, url)
    yield home
    postgres.drop(url)


@pytest.fixture
def another(database_kind: str, request: pytest.FixtureRequest) -> Callable[[Path], Settings]:
    """Settings of another state folder, whose database, of the kind that the test runs on, is empty."""

    def settings_of(home: Path) -> Settings:
        url = "" if database_kind == "sqlite" else request.getfixturevalue("postgres").fresh_database()
        return Settings.read({DATABASE_VARIABLE: url}, home=home)

    return settings_of


@pytest.fixture
def office(home: Path, clock: Clock) -> Iterator[Office]:
    with open_office(Settings.read(os.environ, home=home), clock=clock) as office:
        yield office


@pytest.fixture
def admin_key(home: Path) -> str:
    return (home / "admin.key").read_text().strip()


@pytest.fixture
def browser(office: Office) -> Browser:
    """A stranger."""
    return Browser(create_app(office))


@pytest.fixture
def admin(office: Office, admin_key: str) -> Browser:
    """A program with the admin key."""
    return Browser(create_app(office), headers={"Authorization": f"Bearer {admin_key}"})


@pytest.fixture
def site(office: Office, tmp_path: Path) -> Site:
    """An installation of the customer `kanal` under the contract `kanal-1`, with nothing recorded yet."""
    a_contract(office)
    return a_site(office, tmp_path / "site")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that the tests start themselves; skipped, with the reason, where there is none."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running_postgres(is_durable=False))
        except PostgresMissing as missing:
            pytest.skip(str(missing))
        yield server
