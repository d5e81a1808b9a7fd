"""A server notices that its clock jumped, and does nothing by it; a customer's machine gets over one that did."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import httpx
import pytest
from narrows.license.gate import judge
from narrows.settings import Settings as SdkSettings
from narrows.usage.machine import open_meter
from narrows_licensing.lease_request import LEASES_PATH, LeaseRequest
from narrows_licensing.license import LeaseTerms
from narrows_licensing.testing import a_key
from narrows_licensing.verdict import Reason, Refused
from narrows_server.alerts.models import Alert
from narrows_server.alerts.service import look_around
from narrows_server.app import create_app
from narrows_server.clock import JUMP_MAX, WatchedClock
from narrows_server.errors import ClockInDoubt
from narrows_server.licenses import service as licenses
from narrows_server.licenses.repository import list_licenses
from narrows_server.office import Office
from narrows_server.usage.models import StoredRecord
from sqlalchemy import func, select

from .api import a_program
from .builders import NOW, Browser, Clock, Site, a_contract, an_occasion, send, some_usage

HOUR, MONTH = timedelta(hours=1), timedelta(days=40)


@dataclass(slots=True)
class Machine:
    """A clock on the wall, that somebody may set, and an uptime, that nobody can."""

    wall: datetime = NOW
    uptime: float = 1_000.0

    def watched(self) -> WatchedClock:
        return WatchedClock(wall=lambda: self.wall, uptime=lambda: self.uptime)

    def live(self, by: timedelta) -> None:
        self.wall += by
        self.uptime += by.total_seconds()


class TestWatching:
    def test_while_the_time_passes_as_it_should_it_is_the_time(self) -> None:
        machine = Machine()
        clock = machine.watched()
        for step in (timedelta(seconds=1), timedelta(days=30), timedelta(days=400)):
            machine.live(step)
            assert clock() == machine.wall

    @pytest.mark.parametrize("jump", [HOUR, -HOUR, MONTH, -MONTH, JUMP_MAX + timedelta(seconds=1)])
    def test_after_a_jump_there_is_no_time_until_it_is_right_again(self, jump: timedelta) -> None:
        machine = Machine()
        clock = machine.watched()
        machine.wall += jump
        for _ in range(3):
            machine.live(HOUR)
            with pytest.raises(ClockInDoubt, match="start the server anew"):
                clock()
        machine.wall -= jump
        assert clock() == machine.wall

    def test_small_corrections_are_followed_however_many(self) -> None:
        machine = Machine()
        clock = machine.watched()
        for _ in range(100):
            machine.live(HOUR)
            machine.wall += JUMP_MAX
            assert clock() == machine.wall

    def test_the_jump_is_said_once_and_so_is_its_end(self, caplog: pytest.LogCaptureFixture) -> None:
        machine = Machine()
        clock = machine.watched()
        machine.wall += MONTH
        for _ in range(5):
            with pytest.raises(ClockInDoubt):
                clock()
        machine.wall -= MONTH
        clock()
        clock()
        assert [record.levelname for record in caplog.records] == ["CRITICAL", "WARNING"]
        assert "2027-01-02 08:00 UTC, 40 d after what it should say" in caplog.text

    def test_a_worker_that_is_started_later_goes_by_the_servers_start(self) -> None:
        clock = pickle.loads(pickle.dumps(WatchedClock(wall=_an_hour_ahead_of_the_first)))
        _told.append(NOW + HOUR)
        with pytest.raises(ClockInDoubt):
            clock()


_told = [NOW]


def _an_hour_ahead_of_the_first() -> datetime:
    return _told[-1]


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def watched(office: Office, machine: Machine) -> Office:
    """The office as a server has it open whose machine is *machine*."""
    return replace(office, clock=machine.watched())


class TestServing:
    def test_nothing_is_done_by_a_wrong_time_and_what_was_refused_is_taken_later(
        self, watched: Office, machine: Machine, site: Site
    ) -> None:
        browser = Browser(create_app(watched))
        for jump in (3 * HOUR, -3 * HOUR, MONTH, -MONTH):
            site.record(*some_usage(delivered=10))
            report = site.report()
            machine.wall += jump
            refused = send(browser, report)
            assert (refused.status_code, refused.json()["code"]) == (503, "clock_in_doubt")
            assert refused.headers["Retry-After"]
            assert browser.get("/health").status_code == 503
            assert browser.get("/live").status_code == 200
            machine.wall -= jump
            taken = send(browser, report)
            assert site.acknowledge(taken.json()["receipt"], watched).time == NOW
        with watched.database.snapshot() as session:
            counted = session.execute(select(func.count(), func.sum(StoredRecord.delivered_bytes))).one()
        assert tuple(counted) == (12, 40)

    def test_a_seat_is_not_given_away_because_a_lease_seems_to_have_ended(
        self, watched: Office, machine: Machine
    ) -> None:
        a_contract(watched)
        order = licenses.LicenseOrder(
            customer_id="kanal",
            contract_id="kanal-1",
            max_concurrent_encodes=1,
            lease=LeaseTerms(revive=timedelta(hours=1), borrow_max=timedelta(days=14)),
        )
        with watched.database.transaction() as session:
            issued = licenses.issue(session, order, keyring=watched.keyring, occasion=an_occasion(machine.wall))
        browser = Browser(create_app(watched))

        def ask(holder: str) -> httpx.Response:
            key = a_key(holder)
            request = LeaseRequest(key=key.public_key(), license_token=issued.token, place=0, asked_at=NOW)
            return browser.post(LEASES_PATH, request.sign(key).encode())

        assert ask("first").status_code == 200
        machine.wall += 3 * HOUR
        assert ask("second").json()["code"] == "clock_in_doubt"
        machine.wall -= 3 * HOUR
        assert ask("second").json()["code"] == "no_seat"
        assert ask("first").status_code == 200

    def test_an_idempotency_key_is_not_forgotten_because_a_day_seems_to_have_passed(
        self, watched: Office, machine: Machine
    ) -> None:
        owner = a_program(watched)

        def order() -> httpx.Response:
            return owner.post(
                "/v1/api-keys", {"name": "export", "scopes": ["invoices:read"]}, Idempotency_Key="order-1"
            )

        first = order()
        machine.wall += MONTH
        assert order().json()["code"] == "clock_in_doubt"
        machine.wall -= MONTH
        assert order().json() == first.json()

    def test_nobody_is_alarmed(self, watched: Office, machine: Machine, site: Site) -> None:
        browser = Browser(create_app(watched))
        site.record(*some_usage())
        assert send(browser, site.report()).status_code == 200
        for jump in (MONTH, -MONTH):
            machine.wall += jump
            with pytest.raises(ClockInDoubt):
                look_around(watched.database, at=watched.clock())
            machine.wall -= jump
            assert look_around(watched.database, at=watched.clock())
        with watched.database.snapshot() as session:
            assert not session.scalars(select(Alert)).all()


class TestMachine:
    """The SDK's side: a machine of a customer whose clock is wrong for a while, or whose vendor's was."""

    @pytest.fixture
    def settings(self, office: Office, site: Site) -> SdkSettings:
        with office.database.snapshot() as session:
            issued = list_licenses(session)[0]
            text = licenses.license_file(session, issued.id, keyring=office.keyring, at=office.clock())
        settings = replace(site.settings(), roots_path=office.settings.roots)
        settings.license_path.write_text(text)
        return settings

    @pytest.mark.parametrize("ahead", [MONTH, timedelta(days=800)], ids=["a-month", "beyond-the-license"])
    def test_one_whose_clock_ran_ahead_is_told_what_to_do_and_right_again_with_its_report(
        self, ahead: timedelta, office: Office, browser: Browser, site: Site, settings: SdkSettings
    ) -> None:
        for jump in (timedelta(0), 3 * HOUR, ahead, timedelta(0)):
            with open_meter(settings, clock=lambda jump=jump: NOW + jump):  # type: ignore[misc]
                pass  # As every program begins that encodes or reports: it keeps the diary.
            site.record(*some_usage(delivered=10), at=NOW + jump)
        refused = verdict(settings)
        assert isinstance(refused, Refused)
        assert refused.reason is (Reason.CLOCK_WOUND_BACK if ahead is MONTH else Reason.EXPIRED)
        assert "the clock says 2026-11-23 08:00" in refused.detail

        taken = send(browser, site.report())
        site.acknowledge(taken.json()["receipt"], office)

        assert not isinstance(verdict(settings), Refused)
        with office.database.snapshot() as session:
            assert session.scalar(select(func.sum(StoredRecord.delivered_bytes))) == 40

    def test_what_a_vendor_signed_under_a_wrong_clock_counts_until_the_next_receipt(
        self, office: Office, clock: Clock, browser: Browser, site: Site, settings: SdkSettings
    ) -> None:
        for vendors, is_refused in ((NOW + MONTH, True), (NOW, False)):
            clock.at = vendors
            site.record(*some_usage())
            site.acknowledge(send(browser, site.report()).json()["receipt"], office)
            assert isinstance(verdict(settings), Refused) is is_refused

    def test_without_a_report_it_stays_as_late_as_it_was(self, site: Site, settings: SdkSettings) -> None:
        site.record(*some_usage(), at=NOW + MONTH)
        for _ in range(2):
            assert isinstance(verdict(settings), Refused)


def verdict(settings: SdkSettings) -> object:
    """What the license permits at the right time."""
    with open_meter(settings, clock=lambda: NOW) as meter:
        latest = meter.latest_time_seen()
        return judge(settings, now=NOW, latest_time_seen=latest, preset=None, pixels=None, ledger=meter.ledger)
