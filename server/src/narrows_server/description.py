"""
The description of the API (OpenAPI 3.1): what the endpoints say about themselves, and what holds for all of them.

Every operation gets the problems that it can answer with, the way to authenticate and the permission that it takes, so
that no endpoint has to repeat them. The reference pages are written from the same description.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from narrows_server import problems
from narrows_server.access.roles import MEANINGS, Action
from narrows_server.web import ChangePermit, Permit

SUMMARY = "Licenses, usage, statements and invoices of the Narrows video codec."
INTRODUCTION = """
Errors are problem documents (RFC 9457) with a stable `code`. Lists come in pages: send `next_cursor` back as `cursor`.
What changes something takes an `Idempotency-Key`: the same request with the same key has its effect once.
Reports, requests for seats and license logs are signed or carry a license, and need no API key.
"""
KEY, SESSION = "apiKey", "session"
_SCHEMES = {
    KEY: {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key. Its scopes are the permissions that the operations name.",
    },
    SESSION: {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-narrows",
        "description": "A session of the console. It reads; what changes something takes an API key.",
    },
}
_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457). Some codes have members of their own.",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:narrows:problem:not_found"]},
        "title": {"type": "string", "examples": ["There is no such thing"]},
        "status": {"type": "integer", "examples": [404]},
        "code": {"type": "string", "examples": ["not_found"]},
        "detail": {"type": "string", "examples": ["there is no license lic_7mbd"]},
        "request_id": {"type": "string", "examples": ["req_0f8a3c5b9d2e4f61"]},
    },
}
_TITLES = {
    400: "The request cannot be read",
    401: "No API key and no session, or one that opens nothing",
    403: "Known, but not permitted",
    404: "There is no such thing, or it is somebody else's",
    409: "It contradicts what is there",
    413: "The body is too large",
    422: "A value cannot be meant",
    429: "Too many requests; `Retry-After` says when to come back",
    503: "The database did not answer in time; nothing was changed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One operation, and the permission that it takes; None if anybody may."""

    method: str
    path: str
    route: APIRoute
    action: Action | None
    changes: bool


def endpoints(routers: Sequence[APIRouter]) -> Iterator[Endpoint]:
    """Every operation of *routers*."""
    for router in routers:
        shared = [dependency.dependency for dependency in router.dependencies]
        for route in router.routes:
            if not isinstance(route, APIRoute):
                continue
            calls = [*shared, *(dependency.call for dependency in route.dependant.dependencies)]
            permits = [call for call in calls if isinstance(call, Permit)]
            # The last one is the endpoint's own, if it has one, and narrower than what its router asks for.
            action = permits[-1].action if permits else None
            changes = any(isinstance(call, ChangePermit) for call in permits)
            for method in sorted(route.methods or ()):
                yield Endpoint(method=method, path=route.path, route=route, action=action, changes=changes)


def methods_of(routers: Sequence[APIRouter], path: str) -> set[str]:
    """The methods that *path* has, of all its operations together."""
    return {
        method
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and route.path_regex.fullmatch(path)
        for method in route.methods or ()
    }


def describe(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Make *app* describe itself, completely."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _describe(app, routers)
        return app.openapi_schema

    app.state.methods_of = lambda path: methods_of(routers, path)
    app.openapi = openapi  # type: ignore[method-assign]  # As FastAPI's documentation extends it.


def _describe(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        summary=SUMMARY,
        description=INTRODUCTION.strip(),
        routes=app.routes,
    )
    components = schema.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for endpoint in endpoints(routers):
        operation = schema["paths"][endpoint.path][endpoint.method.lower()]
        _complete(operation, endpoint)
    health = schema["paths"].get("/health", {}).get("get")
    if health is not None:
        health["responses"] |= _responses({503})
    return schema


def _complete(operation: dict[str, Any], endpoint: Endpoint) -> None:
    operation["operationId"] = endpoint.route.name
    statuses = {429, 503}
    if endpoint.action is not None:
        scope = endpoint.action.value
        operation["security"] = [{KEY: [scope]}] if endpoint.changes else [{KEY: [scope]}, {SESSION: []}]
        note = f"Takes the permission `{scope}` ({MEANINGS[endpoint.action]})."
        operation["description"] = "\n\n".join(filter(None, [operation.get("description"), note]))
        operation["x-narrows-permission"] = scope
        statuses |= {401, 403}
    if "{" in endpoint.path:
        statuses.add(404)
    if operation.get("parameters") or "requestBody" in operation:
        statuses.add(422)
    if "requestBody" in operation:
        statuses |= {400, 413}
    if endpoint.changes:
        statuses |= {404, 409}  # What is named in a body may not be there, either.
    responses = operation["responses"]
    responses.pop("422", None)
    statuses |= {int(status) for status in responses if status.isdecimal() and int(status) >= 400}
    operation["responses"] = responses | _responses(statuses)


def _responses(statuses: set[int]) -> dict[str, Any]:
    return {
        str(status): {
            "description": _TITLES[status],
            "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted(statuses)
    }
