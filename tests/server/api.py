"""What the tests of the API share: callers of every role, JSON in and out, and every endpoint there is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from typing import Any

import httpx
from fastapi import FastAPI
from narrows_server.access import api_keys
from narrows_server.access.roles import PEOPLE_ONLY, Action, Role, permitted
from narrows_server.app import PARTS, create_app
from narrows_server.description import Endpoint, endpoints
from narrows_server.office import Office

from .builders import Browser, an_occasion


class Program:
    """A program that speaks JSON with the API."""

    def __init__(self, app: FastAPI, key: str) -> None:
        self.key = key
        self._browser = Browser(app, headers={"Authorization": f"Bearer {key}"})

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self._browser.get(path, **headers)

    def send(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        content = b"" if body is None else json.dumps(body).encode()
        return self._browser.ask(method, path, content, {"Content-Type": "application/json", **headers})

    def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        return self.send("POST", path, body, **headers)

    def items(self, path: str) -> list[Any]:
        """All of a list, page by page."""
        found: list[Any] = []
        cursor = ""
        while True:
            page = self.get(f"{path}{'&' if '?' in path else '?'}{cursor}").json()
            assert "items" in page, page
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = f"cursor={page['next_cursor']}"


def a_key(office: Office, scopes: Set[Action], *, customer_id: str | None = None, human: str = "admin:test") -> str:
    """The text of a fresh API key."""
    with office.database.transaction() as session:
        occasion = an_occasion(office.clock())
        return api_keys.make(
            session, name="test", scopes=scopes, human=human, occasion=occasion, customer_id=customer_id
        )[1]


def a_program(
    office: Office, role: Role = Role.OWNER, *, customer_id: str | None = None, human: str = "admin:test"
) -> Program:
    """A program that may do what people with *role* may, but for what takes a person."""
    key = a_key(office, permitted(role) - PEOPLE_ONLY, customer_id=customer_id, human=human)
    return Program(create_app(office), key)


def every_endpoint() -> Iterator[Endpoint]:
    """Every operation of the API."""
    yield from endpoints([part.router for part in PARTS])
