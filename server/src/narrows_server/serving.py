"""
Answering on a socket, in this process or in several that share it, until SIGTERM; what is under way is finished.

The socket is bound here and not by uvicorn, so that the port is known, and taken, before anybody is told of it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from narrows_server.app import create_app
from narrows_server.clock import WatchedClock
from narrows_server.errors import Invalid
from narrows_server.office import open_office
from narrows_server.operation import tracing
from narrows_server.operation.observing import set_up_log
from narrows_server.punctual import PunctualProtocol
from narrows_server.settings import Settings

BACKLOG = 2048
SHUTDOWN_SECONDS_MAX = 10
WORKER_SECONDS_MAX = 60  # A worker that says nothing for so long is replaced; on a busy machine starting takes a while.


def serve(settings: Settings, *, host: str, port: int, workers: int, say: Callable[[str], object]) -> None:
    """
    Serve until SIGTERM or Ctrl-C, in *workers* processes; *say* is told where as soon as it is known.

    Raises `Invalid` for an address that can't be listened on, and for several workers on SQLite.
    """
    if workers > 1 and settings.database_url.startswith("sqlite"):
        raise Invalid("several workers need PostgreSQL: SQLite has one writer. Set NARROWS_SERVER_DATABASE_URL")
    with open_office(settings):
        pass  # What is missing is said once, here, and not by every worker.
    config = uvicorn.Config(
        partial(make_app, settings, WatchedClock()),
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
    with _listen(host, port) as listener:
        bound_host, bound_port = listener.getsockname()[:2]
        url = f"http://[{bound_host}]:{bound_port}" if ":" in bound_host else f"http://{bound_host}:{bound_port}"
        _write_address(settings.address, url)
        say(url)
        # uvicorn finishes what is under way and then raises the signal once more; that second one is ours to end.
        signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            if workers == 1:
                server = uvicorn.Server(config)
                server.run(sockets=[listener])
                if not server.started:  # uvicorn logged why, and would end as if all were well: nobody would try again.
                    raise SystemExit(1)
            else:
                Multiprocess(config, sockets=[listener]).run()
        finally:
            settings.address.unlink(missing_ok=True)


def make_app(settings: Settings, clock: Callable[[], datetime]) -> FastAPI:
    """The application of one process, with an office that is open as long as it runs."""
    set_up_log()
    stack = ExitStack()
    office = stack.enter_context(open_office(settings, clock=clock))
    app = create_app(office, rates=office.settings.rates)
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
