"""
A vendor's server for measuring: real application, real database, uvicorn in processes of its own on a real socket.

Beside it the naive peer: the same web framework and database, but events without signatures, one INSERT and one commit
for each. It may take as many events per request as the real server takes records, so it is not HTTP that slows it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from narrows_server.app import create_app
from narrows_server.database import Database
from narrows_server.office import initialise, open_office
from narrows_server.settings import DATABASE_VARIABLE, Settings
from sqlalchemy import text

from ..server.builders import VENDOR, a_contract, a_license

START_SECONDS_MAX: Final = 60.0
NAIVE_TABLE: Final = "naive_event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """An initialised server with one license to report under."""

    home: Path
    database_url: str
    license_token: str
    admin_key: str

    @property
    def settings(self) -> Settings:
        return Settings.read({DATABASE_VARIABLE: self.database_url}, home=self.home)


def make_vendor(home: Path, database_url: str | None = None) -> Vendor:
    """Keys, database (SQLite in *home* without a URL), customer, contract and license."""
    settings = Settings.read({DATABASE_VARIABLE: database_url or ""}, home=home)
    initialise(settings, VENDOR)
    with open_office(settings) as office:
        a_contract(office)
        _, token = a_license(office)
    admin_key = settings.admin_key.read_text().strip()
    return Vendor(home=home, database_url=settings.database_url, license_token=token, admin_key=admin_key)


@dataclass(slots=True)
class Served:
    """Where it listens, and the processes that do."""

    port: int
    processes: list[subprocess.Popen[bytes]]

    def memory_bytes(self) -> int:
        """The most that all processes together have had in memory, each at its own worst moment."""
        return sum(_high_water_bytes(process.pid) for process in self.processes)


@contextmanager
def serving(vendor: Vendor, *, workers: int, is_naive: bool = False) -> Iterator[Served]:
    """Serve until the end of the block, in *workers* processes that share one port."""
    with socket.create_server(("127.0.0.1", 0), backlog=1_024) as listener:
        listener.set_inheritable(True)
        command = [sys.executable, "-m", "tests.load.vendor", str(listener.fileno()), str(vendor.home)]
        command += ["naive"] if is_naive else ["real"]
        environment = os.environ | {DATABASE_VARIABLE: vendor.database_url}
        processes = [subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()]) for _ in range(workers)]
        served = Served(listener.getsockname()[1], processes)
        try:
            for process in processes:
                _await(process, vendor.home)
            yield served
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait(timeout=START_SECONDS_MAX)


def _await(process: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not _ready_file(home, process.pid).exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the server did not come up")
        time.sleep(0.05)


def _ready_file(home: Path, process: int) -> Path:
    return home / f"ready-{process}"


def _high_water_bytes(process: int) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1_024
    return 0


def make_naive_app(database: Database) -> FastAPI:
    """The peer: POST /events with a JSON list, one transaction per event."""
    app = FastAPI()

    def insert_all(events: list[Any]) -> None:
        for event in events:
            with database.transaction() as session:
                session.execute(
                    text(f"INSERT INTO {NAIVE_TABLE} (kind, bytes, body) VALUES (:kind, :bytes, :body)"),
                    {"kind": event["kind"], "bytes": event["payload"]["bytes"], "body": str(event["payload"])},
                )

    @app.post("/events")
    async def take_in(request: Request) -> dict[str, int]:
        events = await request.json()
        await run_in_threadpool(insert_all, events)
        return {"accepted": len(events)}

    return app


def make_naive_table(vendor: Vendor) -> None:
    """The peer's table; nothing in it keeps an event from coming twice."""
    database = Database(vendor.database_url)
    with database.transaction() as session:
        session.execute(text(f"CREATE TABLE {NAIVE_TABLE} (kind TEXT, bytes BIGINT, body TEXT)"))
    database.close()


def count_records(vendor: Vendor, *, is_naive: bool = False) -> tuple[int, int]:
    """How many records the books hold, and the bytes that they say were delivered."""
    table, amount = (NAIVE_TABLE, "bytes") if is_naive else ("record", "delivered_bytes")
    database = Database(vendor.database_url)
    try:
        with database.snapshot() as session:
            row = session.execute(text(f"SELECT count(*), coalesce(sum({amount}), 0) FROM {table}")).one()
            return int(row[0]), int(row[1])
    finally:
        database.close()


def _main() -> None:
    descriptor, home, kind = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    settings = Settings.read(os.environ, home=home)
    with open_office(settings, clock=lambda: datetime.now(UTC)) as office:
        app = make_naive_app(office.database) if kind == "naive" else create_app(office)
        app.router.lifespan_context = _announcing(app, _ready_file(home, os.getpid()))
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        with socket.socket(fileno=descriptor) as listener:
            # uvicorn finishes what is under way and then raises the signal once more.
            signal.signal(signal.SIGTERM, lambda *_: None)
            uvicorn.Server(config).run(sockets=[listener])


def _announcing(app: FastAPI, ready: Path) -> Any:
    """The application's own life, and a file that says that it has begun."""
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def announce(_: FastAPI) -> AsyncIterator[None]:
        async with inner(app):
            ready.touch()
            yield
            ready.unlink()

    return announce


if __name__ == "__main__":
    _main()
