"""A server that lost its records gets them back from the installations' ledgers: same totals, same statements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from narrows.reporting.client import MeteringClient
from narrows.reporting.reporter import Reported, report_usage
from narrows.usage.machine import open_meter
from narrows_licensing.trust import Role
from narrows_metering.record import Kind
from narrows_metering.statement import Exclusion
from narrows_metering.testing import GB, a_delivery
from narrows_server.app import create_app
from narrows_server.office import Office, open_office
from narrows_server.operation.backup import back_up
from narrows_server.operation.restore import restore
from narrows_server.settings import Settings
from narrows_server.statements.service import close, require_statement

from .builders import NOVEMBER, Browser, Clock, Site, a_site, an_occasion, some_usage

RECORDS = 4  # `some_usage`, and what the ledger says about itself.
DECEMBER_FOURTH = datetime(2026, 12, 4, 6, tzinfo=UTC)


class Wire(httpx.BaseTransport):
    """From the SDK's client to the application, without a network."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name.replace("-", "_"): request.headers[name] for name in ("Narrows-Signature", "Content-Type")}
        answer = self._browser.post(request.url.path, request.read(), **headers)
        return httpx.Response(answer.status_code, content=answer.content, headers={"Content-Type": "application/json"})


def report(site: Site, office: Office, *, again: bool = False) -> Reported:
    """What `narrows usage report` does on the machine of *site*, against *office*."""
    keys = office.keyring.bundle.keys_for(Role.RECEIPT, office.clock())
    settings = site.settings()
    with (
        open_meter(settings, clock=office.clock) as meter,
        MeteringClient("http://narrows.test", transport=Wire(Browser(create_app(office)))) as client,
    ):
        return report_usage(
            settings,
            meter,
            client,
            license_token=site.license_token,
            receipt_keys=keys,
            at=office.clock(),
            again=again,
        )


Restored = Callable[[], AbstractContextManager[Office]]


@pytest.fixture
def restored(office: Office, another: Callable[[Path], Settings], clock: Clock, tmp_path: Path) -> Restored:
    """The server as it is now, restored elsewhere from a backup of it."""

    @contextmanager
    def restored() -> Iterator[Office]:
        back_up(office.settings, office.database, tmp_path / "server.backup", at=clock())
        settings = another(tmp_path / "restored")
        restore(tmp_path / "server.backup", settings)
        with open_office(settings, clock=clock) as elsewhere:
            yield elsewhere

    return restored


def statement_of_november(office: Office) -> tuple[str, str]:
    """Hash and text of the statement of a month that is closed at one and the same moment everywhere."""
    with office.database.transaction() as session:
        outcome = close(session, "kanal-1", NOVEMBER, occasion=an_occasion(DECEMBER_FOURTH))
        assert outcome.statement_id is not None
        statement = require_statement(session, outcome.statement_id)
        return statement.hash, statement.document


@pytest.fixture
def sites(office: Office, site: Site, tmp_path: Path) -> list[Site]:
    """Two installations of one customer, with usage that nobody has heard of."""
    other = a_site(office, tmp_path / "other")
    site.record(*some_usage())
    other.record(*some_usage(delivered=90 * GB))
    return [site, other]


def test_a_restored_server_asks_for_what_it_lacks_and_gets_it(
    office: Office, sites: list[Site], restored: Restored
) -> None:
    site = sites[0]
    report(site, office)
    with restored() as older:
        site.record((Kind.DELIVERY, a_delivery(delivered=5 * GB)))
        assert report(site, office).record_count == 1
        site.record((Kind.DELIVERY, a_delivery(delivered=7 * GB)))

        reported = report(site, older)

        assert reported.record_count == 2
        assert reported.receipt is not None
        assert reported.receipt.last_seq == 6
        assert report(site, older).record_count == 0


def test_a_server_rebuilt_from_the_ledgers_makes_the_same_statement(
    office: Office, sites: list[Site], clock: Clock, restored: Restored
) -> None:
    with restored() as empty:
        for site in sites:
            report(site, office)
        clock.advance(hours=3)
        for site in reversed(sites):
            for _ in range(2):
                assert report(site, empty, again=True).record_count == RECORDS

        assert statement_of_november(office) == statement_of_november(empty)


def test_machines_that_were_copied_rebuild_it_too_and_what_they_share_is_billed_once(
    office: Office, site: Site, clock: Clock, tmp_path: Path, restored: Restored
) -> None:
    # Given three copies of one machine, of which two share a delivery that nobody has reported.
    with restored() as empty:
        site.record(*some_usage())
        first = site.clone(tmp_path / "first")
        site.record((Kind.DELIVERY, a_delivery(delivered=5 * GB)))
        second = site.clone(tmp_path / "second")
        copies = [first, second, site]
        for number, copy in enumerate(copies, start=1):
            copy.record((Kind.DELIVERY, a_delivery(delivered=number * GB)))

        # When all report, and report everything again to a server that knows nothing.
        handovers = [report(copy, office).handover_count for copy in copies]
        clock.advance(hours=3)
        for copy in reversed(copies):
            report(copy, empty, again=True)

        # Then both know the same, and the shared delivery is counted once and named once.
        assert handovers == [0, 1, 1]
        hash_, document = statement_of_november(office)
        assert statement_of_november(empty) == (hash_, document)
        statement = json.loads(document)
        assert statement["delivered"]["bytes"] == (800 + 5 + 1 + 2 + 3) * GB
        repeated = [e for e in statement["exceptions"] if e["reason"] == Exclusion.DUPLICATE_DELIVERY]
        assert [(e["records"], e["delivered_bytes"]) for e in repeated] == [(1, 5 * GB)]
