"""A real state folder with real keys and a real database for every test, copied from one that is made once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from narrows_server.app import create_app
from narrows_server.office import Office, initialise, open_office
from narrows_server.settings import Settings

from .builders import VENDOR, Browser, Clock, Site, a_contract, a_site
from .postgres import Postgres, PostgresMissing, running_postgres


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder as `init` leaves it."""
    home = tmp_path_factory.mktemp("made") / "home"
    initialise(Settings.read({}, home=home), VENDOR, clock=Clock())
    return home


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def home(made_home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_home, tmp_path / "home"))


@pytest.fixture
def office(home: Path, clock: Clock) -> Iterator[Office]:
    with open_office(Settings.read({}, home=home), clock=clock) as office:
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
            server = stack.enter_context(running_postgres())
        except PostgresMissing as missing:
            pytest.skip(str(missing))
        yield server
