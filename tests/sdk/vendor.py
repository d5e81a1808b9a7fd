"""A vendor for the SDK's tests: the real application over a real database, and machines that report to it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import uvicorn
from narrows.reporting.client import MeteringClient
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_licensing.license import Kind as LicenseKind
from narrows_metering.ledger import Entry
from narrows_metering.record import Kind, Record
from narrows_metering.testing import a_delivery
from narrows_server.app import create_app
from narrows_server.licenses import service as licenses
from narrows_server.office import Office, initialise, open_office
from narrows_server.paging import Paged
from narrows_server.settings import Settings as ServerSettings
from narrows_server.transparency.service import merge
from narrows_server.usage import repository
from narrows_server.usage.schemas import InstallationsOut

from ..server.builders import VENDOR, Clock, a_contract, an_occasion

URL = "http://127.0.0.1:9"
TODAY = datetime.now(UTC)  # Processes that a test starts have no other clock.


@dataclass(slots=True)
class Wire(httpx.BaseTransport):
    """From the SDK's client to the application, without a network. *fault* may answer in its place, or raise."""

    office: Office
    fault: Callable[[httpx.Request], httpx.Response | None] | None = None
    requests: list[httpx.Request] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        if self.fault is not None and (answer := self.fault(request)) is not None:
            return answer

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=create_app(self.office))
            async with httpx.AsyncClient(transport=transport, base_url="http://narrows.test") as client:
                path = request.url.raw_path.decode()
                return await client.request(
                    request.method, path, content=request.content, headers=dict(request.headers)
                )

        answer = asyncio.run(ask())
        return httpx.Response(answer.status_code, content=answer.content, headers=_plain(answer.headers))

    @property
    def bodies(self) -> list[bytes]:
        """Of the reports that were sent."""
        return [request.content for request in self.requests if request.method == "POST"]


@dataclass(slots=True)
class Vendor:
    """An office with one contract. *clock* is everybody's."""

    office: Office
    clock: Clock
    folder: Path

    def equip(
        self, name: str = "machine", *, url: str | None = URL, kind: LicenseKind = LicenseKind.PRODUCTION
    ) -> Settings:
        """A customer's machine with a fresh license and an empty state folder."""
        folder = self.folder / name
        folder.mkdir()
        order = licenses.LicenseOrder(customer_id="kanal", contract_id="kanal-1", days=365, report_url=url, kind=kind)
        with self.office.database.transaction() as session:
            occasion = an_occasion(self.clock())
            issued = licenses.issue(session, order, keyring=self.office.keyring, occasion=occasion)
            text = licenses.license_file(session, issued.id, keyring=self.office.keyring, at=self.clock())
        (folder / "license.json").write_text(text)
        shutil.copy(self.office.settings.roots, folder / "roots.json")
        return Settings(
            license_path=folder / "license.json", roots_path=folder / "roots.json", state_folder=folder / "state"
        )

    def record(self, machine: Settings, *amounts: int) -> tuple[Record, ...]:
        """A delivery per number, which is its bytes."""
        entries = [Entry(kind=Kind.DELIVERY, payload=a_delivery(delivered=n), time=self.clock()) for n in amounts]
        with open_meter(machine, clock=self.clock) as meter:
            return meter.append_all(entries)

    def wire(self, fault: Callable[[httpx.Request], httpx.Response | None] | None = None) -> Wire:
        return Wire(self.office, fault)

    def books(self) -> dict[str, object]:
        """All that the vendor knows about usage, in totals."""
        with self.office.database.snapshot() as session:
            everything = Paged(rows=repository.overviews(session), next_cursor=None)
            gaps = repository.list_gaps(session)
            shown = InstallationsOut.of(everything, gaps, heads=repository.heads(session, gaps), at=self.clock())
        return shown.model_dump(mode="json")

    def delivered(self) -> int:
        """The bytes of all deliveries in the books."""
        items = self.books()["items"]
        assert isinstance(items, list)
        return sum(item["delivered_bytes"] for item in items)

    def merge_log(self) -> int:
        return merge(self.office.database)


def connect_by(wire: httpx.BaseTransport) -> Callable[[Settings, str], MeteringClient]:
    """A way to every server that leads through *wire*."""
    return lambda settings, url: MeteringClient(url, transport=wire)


def books_of(settings: Settings) -> tuple[int, int]:
    """How far the ledger of a machine has come, and how much of it is acknowledged."""
    with open_meter(settings) as meter:
        return meter.ledger.head().seq, meter.ledger.acknowledged()


@pytest.fixture(scope="session")
def made_vendor_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("vendor") / "home"
    initialise(ServerSettings.read({}, home=home), VENDOR, clock=Clock(TODAY))
    return home


@pytest.fixture
def vendor(made_vendor_home: Path, tmp_path: Path) -> Iterator[Vendor]:
    home = Path(shutil.copytree(made_vendor_home, tmp_path / "vendor"))
    clock = Clock(TODAY)
    with open_office(ServerSettings.read({}, home=home), clock=clock) as office:
        a_contract(office)
        yield Vendor(office, clock, tmp_path)


@contextmanager
def serving(office: Office, *, port: int = 0) -> Iterator[str]:
    """The application on a loopback port, any free one if none is named; its URL. Nothing is done in the background."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(create_app(office), log_level="critical", ws="none", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _plain(headers: httpx.Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "content-length"}
