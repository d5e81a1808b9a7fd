"""Traces: a span for a request with those of its statements below it, and no values in any."""

from __future__ import annotations

from narrows_server.access.roles import Action
from narrows_server.app import create_app
from narrows_server.office import Office
from narrows_server.operation.tracing import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ..api import a_key
from ..builders import Browser


def test_a_request_and_its_statements_are_one_trace_without_values(office: Office) -> None:
    seen = InMemorySpanExporter()
    key = a_key(office, frozenset({Action.LICENSES_READ}))
    app = create_app(office)
    trace(app, office.database, exporter=seen)

    Browser(app).get("/v1/licenses/a-license", Authorization=f"Bearer {key}")
    Browser(app).get("/health")
    app.state.spans.force_flush()

    spans = seen.get_finished_spans()
    (request,) = [span for span in spans if span.name == "GET /v1/licenses/{license_id}"]
    below = [span for span in spans if span.context.trace_id == request.context.trace_id and "SELECT" in span.name]
    assert len(below) >= 2
    assert not any("/health" in span.name for span in spans)
    for span in below:
        assert key not in str(dict(span.attributes or {}))
        assert "a-license" not in str(dict(span.attributes or {}))
