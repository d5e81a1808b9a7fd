"""
What is seen of a running server: a line of the log and two metrics for every request.

The log is one JSON object a line (structlog), or readable lines on a terminal. It names the route and never the path's
ids, no query, no header and no body: whoever may read logs is not thereby told tokens, customers or titles.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from narrows_server import __version__
from narrows_server.invoices.models import Invoice
from narrows_server.office import Office
from narrows_server.transparency.models import PendingLeaf
from narrows_server.usage.models import Installation
from narrows_server.usage.partitions import stray_count

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
QUIET_ROUTES: Final = frozenset({"/live", "/health", "/metrics"})  # Asked every few seconds: only failures are logged.
NO_ROUTE: Final = "(none)"

_SHARED: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


class Metrics:
    """
    The registry of one application, so that two in one process do not count for each other.

    One of several workers counts in files in *shared*, as `share_metrics` has it, and shows the sum of all.
    """

    def __init__(self, office: Office, *, shared: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        if shared is not None:
            MultiProcessCollector(self.registry, path=str(shared))  # type: ignore[no-untyped-call]
        own = self.registry if shared is None else None
        self.requests = Counter(
            "narrows_requests_total", "Requests answered.", ("method", "route", "status"), registry=own
        )
        self.seconds = Histogram(
            "narrows_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("method", "route"),
            buckets=SECONDS,
            registry=own,
        )
        self.registry.register(_Books(office))


def share_metrics(folder: Path) -> None:
    """
    Have the processes that are started from now on count in files in *folder*, so that each can show the sum of all.

    The library takes that from the environment, at the moment at which it is first imported.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


class _Books(Collector):
    """What only the database knows, asked when it is scraped. All from small tables and columns kept for overviews."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def describe(self) -> Sequence[Metric]:
        return ()  # Without it the registry would ask the database as soon as it is made.

    def collect(self) -> Iterator[Metric]:
        with self._office.database.snapshot() as session:
            installations, records, delivered = session.execute(
                select(func.count(), func.sum(Installation.head_seq), func.sum(Installation.delivered_bytes))
            ).one()
            waiting = session.scalar(select(func.count()).select_from(PendingLeaf))
            invoices = session.scalar(select(func.count()).select_from(Invoice))
            strays = stray_count(session.connection())
        for name, help_text, value in (
            ("narrows_installations", "Installations that have reported.", installations),
            ("narrows_records", "Usage records that a receipt was given for.", records),
            ("narrows_delivered_bytes", "Delivered bytes in these records.", delivered),
            ("narrows_log_waiting", "Reports that wait for their place in the transparency log.", waiting),
            ("narrows_records_without_month", "Records in the default partition, counted to 100,000.", strays),
            ("narrows_invoices", "Invoices, drafts included.", invoices),
        ):
            yield GaugeMetricFamily(name, help_text, value=int(value or 0))
        build = GaugeMetricFamily("narrows_build_info", "The version of this server.", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build


class Observing:
    """Logs and counts every request."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app, self._metrics = app, metrics
        # Through logging, so that nothing is printed where nobody set up a log.
        self._log = structlog.wrap_logger(
            logging.getLogger("narrows_server.request"),
            processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
            wrapper_class=structlog.stdlib.BoundLogger,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        # Whatever is logged on the way has the id that the caller is told.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=scope.get("state", {}).get("request_id"))

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method, route = scope["method"], getattr(scope.get("route"), "path", NO_ROUTE)
        self._metrics.requests.labels(method, route, status).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        if route in QUIET_ROUTES and status < 400:
            return
        caller = scope.get("state", {}).get("caller")
        self._log.log(
            logging.ERROR if status >= 500 else logging.INFO,
            "request",
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 1),
            actor=getattr(caller, "actor", None),
        )


def set_up_log(stream: TextIO = sys.stderr) -> None:
    """Everything that is logged, by us and by libraries, as one object a line, or readably on a terminal."""
    renderer: list[Any] = (
        [structlog.dev.ConsoleRenderer()]
        if stream.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    # Our own line says more than theirs, and uvicorn's names paths.
    logging.getLogger("uvicorn.access").disabled = True
    for talkative in ("httpx", "alembic"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
