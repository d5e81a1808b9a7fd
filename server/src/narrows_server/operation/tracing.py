"""
Traces for OpenTelemetry: a span for each request and each statement of the database (`narrows-server[otel]`).

Where spans go, how many are kept and what the service is called is said by the standard's own `OTEL_*` variables, which
the library reads. Spans name routes and statements, never their parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from sqlalchemy import Engine, event

from narrows_server import __version__
from narrows_server.database import Database
from narrows_server.errors import Invalid

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

SERVICE = "narrows-server"
UNTRACED = "live,health,metrics"


def trace(app: FastAPI, database: Database, *, exporter: object | None = None) -> None:
    """Send spans of *app* and *database* to *exporter*, or over OTLP. Raises `Invalid` without the packages."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
    except ImportError as error:
        raise Invalid("traces take more packages: pip install 'narrows-server[otel]'") from error
    to: SpanExporter = OTLPSpanExporter() if exporter is None else exporter  # type: ignore[assignment]
    # What the environment says about the service wins over what is said here.
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE, "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(to))
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider, excluded_urls=UNTRACED)
    _trace_statements(database.engine, provider.get_tracer(SERVICE))
    app.state.spans = provider


def _trace_statements(engine: Engine, tracer: Tracer) -> None:
    # The project's own instrumentation stops at SQLAlchemy 2.0.
    @event.listens_for(engine, "before_cursor_execute")
    def begin(connection: Any, _: Any, statement: str, __: Any, context: Any, ___: Any) -> None:
        span = tracer.start_span(statement.split(None, 1)[0])
        span.set_attributes({"db.system.name": engine.dialect.name, "db.query.text": statement})
        context.narrows_span = span

    @event.listens_for(engine, "after_cursor_execute")
    def end(connection: Any, _: Any, statement: str, __: Any, context: Any, ___: Any) -> None:
        context.narrows_span.end()

    @event.listens_for(engine, "handle_error")
    def fail(failure: Any) -> None:
        span = getattr(failure.execution_context, "narrows_span", None)
        if span is not None:
            span.record_exception(failure.original_exception)
            span.end()
