"""
The real server, in this process and without a socket: one office for all seeds of a process, a fresh database for each.

What it does to itself: lose its database, restore an older backup of it, and fail after any statement of SQL.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from narrows_licensing.trust import Role
from narrows_metering.descent import Descent
from narrows_metering.record import Kind, Record
from narrows_metering.terms import Period
from narrows_metering.testing import some_terms
from narrows_metering.usage import collect
from narrows_server.app import create_app
from narrows_server.office import initialise, open_office
from narrows_server.settings import Settings
from narrows_server.transparency.repository import get_tree
from narrows_server.transparency.service import merge
from narrows_server.usage import repository
from narrows_server.usage.models import Installation, IssuedReceipt
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import func, inspect, select, text

from ..server.builders import VENDOR, Clock, a_contract, a_license
from .oracle import Event

START: Final = datetime(2026, 11, 23, 8, tzinfo=UTC)
PERIOD: Final = Period(year=2026, month=11)


NAIVE_TABLE: Final = "naive_record"
"""Where a server without a primary key keeps its books; see `weaknesses`."""


class ServerDied(Exception):
    """Raised inside the server, after the statement that was to be its last."""


class Answer:
    """Status, headers and body of an answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = dict(headers)
        self.body = body


class Server:
    """A vendor with one customer, one contract and one license. Close it when the process is done with seeds."""

    @classmethod
    def make(cls, folder: Path) -> Self:
        """A new server below *folder*."""
        home = folder / "home"
        clock = Clock(START)
        initialise(Settings.read({}, home=home), VENDOR, clock=clock)
        return cls(home, clock)

    def __init__(self, home: Path, clock: Clock) -> None:
        self.clock = clock
        self._resources = ExitStack()
        self._office = self._resources.enter_context(open_office(Settings.read({}, home=home), clock=clock))
        a_contract(self._office)
        _, self.license_token = a_license(self._office)
        self.receipt_keys = self._office.keyring.bundle.keys_for(Role.RECEIPT, START)
        self._app = create_app(self._office)
        self._loop = asyncio.new_event_loop()
        self._resources.callback(self._loop.close)
        self._resources.callback(lambda: self._loop.run_until_complete(self._loop.shutdown_default_executor()))
        self._database_path = home / "narrows.sqlite"
        self._statements_left: int | None = None
        sqlalchemy_event.listen(self._office.database.engine, "after_cursor_execute", self._count_down)
        sqlalchemy_event.listen(self._office.database.engine, "commit", self._before_commit)
        self._first = self.backup()

    def close(self) -> None:
        self._resources.close()

    def reset(self) -> None:
        """As after `make`."""
        self.clock.at = START
        self._statements_left = None
        self.restore(self._first)

    def backup(self) -> bytes:
        """The whole database."""
        self._office.database.close()  # The last connection folds the write-ahead log into the file.
        return self._database_path.read_bytes()

    def restore(self, backup: bytes) -> None:
        self._office.database.close()
        for suffix in ("-wal", "-shm"):
            self._database_path.with_name(self._database_path.name + suffix).unlink(missing_ok=True)
        self._database_path.write_bytes(backup)

    def die_after(self, statements: int) -> None:
        """Fail in the next request once *statements* have been executed, and in any case instead of committing."""
        self._statements_left = statements

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What the application says to one request."""
        try:
            return self._loop.run_until_complete(self._ask(method, path, headers, body))
        except ServerDied:
            return Answer(500, {}, b"")
        finally:
            self._statements_left = None

    def head_seq(self, installation_id: str) -> int:
        """The last record that is in the books of an installation; 0 for one that nobody has heard of."""
        with self._office.database.snapshot() as session:
            installation = session.get(Installation, installation_id)
            return installation.head_seq if installation else 0

    def unproven(self) -> int:
        """How many receipts are missing in the transparency log, once everything that was queued is merged."""
        merge(self._office.database)
        with self._office.database.snapshot() as session:
            receipts = session.scalar(select(func.count()).select_from(IssuedReceipt)) or 0
            return receipts - get_tree(session).tree_size

    def billed(self) -> tuple[Counter[Event], dict[str, int]]:
        """How often each event is in the books as a fact, and what the vendor's own sums are, by kind."""
        billed: Counter[Event] = Counter()
        told: set[str] = set()
        by_installation: dict[str, list[Record]] = {}
        with self._office.database.snapshot() as session:
            for installation in repository.list_installations(session):
                records = list(repository.read_records(session, installation.id, last_seq=installation.head_seq))
                by_installation[installation.id] = records
                descent = Descent()
                for record in records:
                    keys = descent.keys(record)
                    if (event := event_of(record)) and told.isdisjoint(keys):
                        billed[event] += 1
                    told.update(keys)
            if inspect(session.connection()).has_table(NAIVE_TABLE):
                rows = session.execute(text(f"SELECT kind, number FROM {NAIVE_TABLE}"))
                billed = Counter((row.kind, row.number) for row in rows)
        usage = collect(by_installation, terms=some_terms(), period=PERIOD)
        delivered = sum(delivery.bytes_delivered for delivery in usage.delivered.values())
        encoded = sum(number * times for (kind, number), times in billed.items() if kind == Kind.ENCODE)
        return billed, {Kind.DELIVERY.value: delivered, Kind.ENCODE.value: encoded}

    async def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("narrows.test", 80),
            "state": {},
        }
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        started: dict[str, Any] = {}
        content = bytearray()

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                content.extend(message.get("body", b""))

        await self._app(scope, receive, send)
        found = {name.decode(): value.decode() for name, value in started["headers"]}
        return Answer(started["status"], found, bytes(content))

    def _before_commit(self, _: object) -> None:
        if self._statements_left is not None:
            self._statements_left = None
            raise ServerDied

    def _count_down(self, *_: object) -> None:
        if self._statements_left is None:
            return
        if self._statements_left == 0:
            self._statements_left = None
            raise ServerDied
        self._statements_left -= 1


def event_of(record: Record) -> Event | None:
    """The event that *record* is about; None for what ledgers write about themselves."""
    number = record.payload.get("bytes")
    if record.kind not in (Kind.DELIVERY, Kind.ENCODE) or not isinstance(number, int):
        return None
    return record.kind.value, number


def copy_folder(source: Path, target: Path) -> None:
    """*source* as a snapshot of its machine would find it: everything but the memory that processes share."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*-shm"))


def problem_code(answer: Answer) -> str:
    """The code of a problem document, or the status."""
    try:
        return str(json.loads(answer.body)["code"])
    except (ValueError, KeyError, TypeError):
        return str(answer.status)


LATER: Final = timedelta(seconds=1)
