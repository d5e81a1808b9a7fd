"""
Answering on a socket, in this process or in several that share it, until SIGTERM; what is under way is finished.

The socket is bound here and not by uvicorn, so that the port is known, and taken, before anybody is told of it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from narrows_server.app import create_app
from narrows_server.clock import WatchedClock
from narrows_server.database import reason_of
from narrows_server.errors import Invalid
from narrows_server.office import Office, open_office
from narrows_server.operation import tracing
from narrows_server.operation.observing import set_up_log, share_metrics
from narrows_server.punctual import PunctualProtocol
from narrows_server.settings import Settings

BACKLOG = 2048
SHUTDOWN_SECONDS_MAX = 10
WAIT_SECONDS_MIN, WAIT_SECONDS_MAX = 0.5, 15.0  # Between a worker's looks for a database that is away.
WORKER_SECONDS_MAX = 60  # A worker that says nothing for so long is replaced; on a busy machine starting takes a while.

logger = logging.getLogger(__name__)


def serve(settings: Settings, *, host: str, port: int, workers: int, say: Callable[[str], object]) -> None:
    """
    Serve until SIGTERM or Ctrl-C, in *workers* processes; *say* is told where as soon as it is known.

    Raises `Invalid` for an address that can't be listened on, and for several workers on SQLite.
    """
    if workers > 1 and settings.database_url.startswith("sqlite"):
        raise Invalid("several workers need PostgreSQL: SQLite has one writer. Set NARROWS_SERVER_DATABASE_URL")
    with open_office(settings):
        pass  # What is missing is said once, here, and not by every worker.
    with _listen(host, port) as listener:
        bound_host, bound_port = listener.getsockname()[:2]
        url = f"http://[{bound_host}]:{bound_port}" if ":" in bound_host else f"http://{bound_host}:{bound_port}"
        _write_address(settings.address, url)
        say(url)
        # uvicorn finishes what is under way and then raises the signal once more; that second one is ours to end.
        signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            _serve_alone(settings, listener) if workers == 1 else _serve_in_several(settings, listener, workers)
        finally:
            settings.address.unlink(missing_ok=True)


def _serve_alone(settings: Settings, listener: socket.socket) -> None:
    server = uvicorn.Server(_config(partial(make_app, settings, WatchedClock())))
    server.run(sockets=[listener])
    if not server.started:  # uvicorn logged why, and would end as if all were well: nobody would try again.
        raise SystemExit(1)


def _serve_in_several(settings: Settings, listener: socket.socket, workers: int) -> None:
    with TemporaryDirectory(prefix="narrows-metrics-") as name:
        folder = Path(name)
        share_metrics(folder)
        application = partial(make_app, settings, WatchedClock(), shared_metrics=folder)
        team = Multiprocess(_config(application, workers=workers), sockets=[listener])
        team.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in team.processes):
        raise SystemExit(1)


def _config(application: Callable[[], FastAPI], *, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        factory=True,
        http=PunctualProtocol,
        log_config=None,  # Each process sets up its own.
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS_MAX,
        timeout_worker_healthcheck=WORKER_SECONDS_MAX,
        workers=workers,
    )


def make_app(settings: Settings, clock: Callable[[], datetime], *, shared_metrics: Path | None = None) -> FastAPI:
    """
    The application of one process, with an office that is open as long as it runs.

    One of several counts in the folder *shared_metrics*. It also waits for a database that is away: if it ended,
    another would be started in its place at once, and so on, and none of them would say more than this one.
    """
    set_up_log()
    stack = ExitStack()
    enter = _open_office if shared_metrics is None else _open_patiently
    office = enter(stack, settings, clock)
    app = create_app(office, rates=office.settings.rates, shared_metrics=shared_metrics)
    if settings.is_traced:
        tracing.trace(app, office.database)
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def working(app: FastAPI) -> AsyncIterator[None]:
        with stack:
            async with inner(app):
                yield

    app.router.lifespan_context = working
    return app


def _open_office(stack: ExitStack, settings: Settings, clock: Callable[[], datetime]) -> Office:
    return stack.enter_context(open_office(settings, clock=clock))


def _open_patiently(stack: ExitStack, settings: Settings, clock: Callable[[], datetime]) -> Office:
    seconds = WAIT_SECONDS_MIN
    while True:
        try:
            return _open_office(stack, settings, clock)
        except OperationalError as error:
            logger.warning("the database does not answer (%s); tried again in %g s", reason_of(error), seconds)
        time.sleep(seconds)
        seconds = min(2 * seconds, WAIT_SECONDS_MAX)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
        )
    except OSError as error:
        raise Invalid(f"cannot listen on {host} port {port}: {error.strerror or error}") from error


def _write_address(path: Path, url: str) -> None:
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps({"url": url, "pid": os.getpid()}) + "\n", encoding="utf-8")
    draft.replace(path)
