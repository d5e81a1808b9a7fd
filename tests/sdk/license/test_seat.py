"""A seat is asked for before an encode, renewed beside it, and never in its way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from narrows.errors import LicenseRefused
from narrows.license.gate import Permission, require_permission
from narrows.license.seat import Away, HeldSeat, Leased, Turned
from narrows.options import Preset
from narrows_licensing.entitlement import Overage
from narrows_licensing.testing import NOW
from narrows_licensing.verdict import Reason

from tests.licensing.relay.sites import SiteRelay
from tests.sdk.seats import MONTH, Machine, RelayDesk, a_machine

HEARTBEAT = timedelta(seconds=600)


@pytest.fixture
def relay(tmp_path: Path) -> SiteRelay:
    return SiteRelay.open(tmp_path / "relay", seats=1)


@pytest.fixture
def machine(tmp_path: Path, relay: SiteRelay) -> Iterator[Machine]:
    machine = a_machine(tmp_path / "machine", relay)
    yield machine
    machine.close()


def permission(machine: Machine) -> Permission:
    return require_permission(
        machine.settings,
        now=machine.clock(),
        latest_time_seen=None,
        preset=Preset.MEDIUM,
        pixels=4096,
        world=machine.world,
    )


def refused(machine: Machine) -> LicenseRefused:
    with pytest.raises(LicenseRefused) as error:
        permission(machine)
    return error.value


class TestSession:
    def test_a_session_takes_a_seat_and_gives_it_back(self, machine: Machine, relay: SiteRelay) -> None:
        held = permission(machine)
        assert relay.occupied() == 1

        held.release()
        held.release()
        assert relay.occupied() == 0

    def test_a_full_pool_refuses_a_new_session_and_says_why(
        self, tmp_path: Path, machine: Machine, relay: SiteRelay
    ) -> None:
        held = permission(machine)
        error = refused(a_machine(tmp_path / "other", relay))

        assert error.reason is Reason.NO_SEAT
        assert "all seats are taken" in str(error)
        held.release()

    def test_sessions_side_by_side_have_a_seat_each(self, tmp_path: Path) -> None:
        relay = SiteRelay.open(tmp_path / "relay", seats=3)
        machine = a_machine(tmp_path / "machine", relay)
        held = [permission(machine) for _ in range(3)]

        assert relay.occupied() == 3
        assert refused(machine).reason is Reason.NO_SEAT
        for one in held:
            one.release()
        assert relay.occupied() == 0

    def test_a_session_that_was_killed_finds_its_seat_again(self, machine: Machine, relay: SiteRelay) -> None:
        killed = machine.keeper()
        killed.ask()
        killed.close()  # The kernel lets go of the lock, and nobody gives the seat back.

        permission(machine).release()
        assert relay.occupied() == 0

    def test_a_seat_is_given_back_also_after_a_renewal_that_nobody_answered(
        self, machine: Machine, relay: SiteRelay
    ) -> None:
        keeper = machine.keeper()
        for machine.desk.is_there in (True, False):
            keeper.ask()
        machine.desk.is_there = True
        keeper.give_back()

        assert relay.occupied() == 0

    def test_a_license_that_is_refused_anyway_asks_for_no_seat(self, tmp_path: Path, relay: SiteRelay) -> None:
        machine = a_machine(tmp_path / "expired", relay, issued_at=NOW - 2 * MONTH, not_before=NOW - 2 * MONTH)
        machine.clock.at = NOW + timedelta(days=400)

        assert refused(machine).reason is Reason.EXPIRED
        assert machine.desk.calls == 0


class TestRenewing:
    def test_a_lease_is_renewed_between_two_and_three_fifths_of_its_life(self, machine: Machine) -> None:
        keeper = machine.keeper()
        keeper.ask()

        assert 0.4 <= (keeper.next_at - NOW) / HEARTBEAT <= 0.6
        assert keeper.until == NOW + HEARTBEAT

    def test_renewals_go_on_for_as_long_as_the_encode_does(self, machine: Machine, relay: SiteRelay) -> None:
        waits: list[float] = []

        def wait(seconds: float) -> bool:
            waits.append(seconds)
            machine.clock.advance(seconds=seconds)
            return len(waits) == 100

        HeldSeat(machine.keeper(), wait=wait).close()

        assert all(240 <= seconds <= 360 for seconds in waits)
        assert machine.desk.calls == 101  # A hundred requests, and the seat given back.
        assert relay.occupied() == 0

    def test_a_clock_that_is_wrong_by_hours_loses_no_seat(self, machine: Machine) -> None:
        keeper = machine.keeper()
        answer = machine.desk.ask(keeper._request(NOW))
        assert isinstance(answer, Leased)
        machine.clock.advance(hours=3)

        keeper._take(answer.document, machine.clock())

        assert keeper.until == NOW + timedelta(hours=3) + HEARTBEAT

    def test_an_answer_that_is_not_to_be_believed_is_no_seat(self, machine: Machine) -> None:
        keeper = machine.keeper()
        keeper._take('{"format": "narrows-lease/1", "lease": "a.b.c", "relay": null}', NOW)

        assert keeper.until is None
        assert "not to be believed" in keeper.detail


class TestNobodyAnswers:
    def test_while_an_encode_runs_nothing_stops_it_for_a_month(self, machine: Machine) -> None:
        held = permission(machine)
        keeper = machine.keeper()
        machine.desk.is_there = False
        while machine.clock() < NOW + MONTH:
            keeper.ask()
            assert timedelta(seconds=30) <= keeper.next_at - machine.clock() <= timedelta(seconds=60)
            machine.clock.advance(hours=1)

        assert held.granted
        held.release()

    def test_whoever_had_a_seat_starts_until_the_grace_after_its_last_lease_ends(self, machine: Machine) -> None:
        permission(machine).release()
        machine.desk.is_there = False
        grace_end = NOW + HEARTBEAT + timedelta(days=14)

        for at in (NOW, NOW + HEARTBEAT, grace_end - timedelta(seconds=1)):
            machine.clock.at = at
            permission(machine).release()
        machine.clock.at = grace_end
        assert refused(machine).reason is Reason.NO_SEAT
        assert "no network" in str(refused(machine))

    def test_whoever_never_had_a_seat_gets_none(self, machine: Machine) -> None:
        machine.desk.is_there = False

        assert refused(machine).reason is Reason.NO_SEAT

    def test_where_no_pool_is_ever_full_nobody_has_to_ask(self, tmp_path: Path, relay: SiteRelay) -> None:
        machine = a_machine(tmp_path / "always", relay, overage=Overage.ALWAYS)
        machine.desk.is_there = False

        permission(machine).release()

    def test_a_borrowed_seat_needs_nobody_and_is_not_given_back_by_a_session(
        self, machine: Machine, relay: SiteRelay
    ) -> None:
        keeper = machine.keeper()
        keeper.ask(borrow=timedelta(days=7))
        keeper.close()
        machine.desk.is_there = False
        calls = machine.desk.calls
        machine.clock.advance(days=6)

        permission(machine).release()
        assert machine.desk.calls == calls
        assert relay.occupied() == 1

    def test_a_desk_that_never_answers_keeps_a_start_waiting_for_three_seconds_at_most(self, machine: Machine) -> None:
        is_over = threading.Event()

        class SilentDesk(RelayDesk):
            def ask(self, request: str) -> Leased | Turned | Away:
                is_over.wait()
                return Away("at last")

        machine.desk, machine.wait_seconds = SilentDesk(machine.desk.relay), 0.01

        assert "nobody has answered within" in str(refused(machine))
        is_over.set()
        for thread in threading.enumerate():
            if thread.name == "narrows-seat":
                thread.join()
