"""What floating licenses promise, with a clock that is turned: pods that restart, and a million players."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from narrows_licensing.lease import RENEWAL_EARLIEST, RENEWAL_LATEST, Lease, renewal_time
from narrows_licensing.pool import DRIFT
from narrows_licensing.testing import NOW

from tests.licensing.relay.sites import Pod, SiteRelay

HEARTBEAT = timedelta(seconds=600)
SEATS = 50
PODS = 200


@dataclass(slots=True)
class SimulatedPod:
    """A pod that asks for a seat until it has one and renews it, until it is killed."""

    pod: Pod
    lease: Lease | None = None
    next_at: datetime = NOW

    def step(self, relay: SiteRelay, chance: random.Random) -> None:
        """Ask if it is time to."""
        at = relay.clock()
        if at < self.next_at:
            return
        answer = self.pod.ask(relay)
        if isinstance(answer, Lease):
            self.lease, self.next_at = answer, renewal_time(answer, chance)
        else:
            self.next_at = at + timedelta(seconds=chance.uniform(15, 45))


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[SiteRelay]:
    relay = SiteRelay.open(tmp_path, seats=SEATS)
    # What is tried here is who gets a seat; that a seat outlives a power cut is tried elsewhere, and costs a disk.
    relay.store._connection.execute("PRAGMA synchronous = OFF")
    yield relay
    relay.store.close()


def test_two_hundred_pods_that_restart_within_a_minute_never_have_more_than_fifty_seats_and_lose_none(
    relay: SiteRelay,
) -> None:
    chance = random.Random(5)
    pods = [SimulatedPod(Pod()) for _ in range(PODS)]
    restarts = {index: NOW + timedelta(seconds=300 + chance.uniform(0, 60)) for index in range(PODS)}
    handed_out: dict[str, datetime] = {}  # Each lease that anybody still may hold, and its last end.
    most = 0
    while relay.clock() < NOW + timedelta(seconds=1500):
        at = relay.clock()
        for index in chance.sample(range(PODS), PODS):
            if index in restarts and at >= restarts[index]:
                # Killed: half of them come back under their own name, half as pods that nobody knows.
                del restarts[index]
                pods[index] = SimulatedPod(pods[index].pod if index % 2 else Pod(), next_at=at)
            pods[index].step(relay, chance)
            lease = pods[index].lease
            if lease is not None:
                handed_out[lease.lease_id] = lease.expires_at
        most = max(most, sum(at < end for end in handed_out.values()))
        assert relay.occupied() <= SEATS
        relay.clock.advance(seconds=5)

    assert most == SEATS  # Never more, and every one was in use.
    last_end = max(handed_out.values())
    relay.clock.at = last_end + DRIFT
    assert relay.occupied() == 0
    assert sum(isinstance(Pod().ask(relay), Lease) for _ in range(SEATS + 1)) == SEATS


def test_a_seat_of_a_killed_pod_is_free_after_its_lease_and_thirty_seconds(relay: SiteRelay) -> None:
    for _ in range(SEATS):
        Pod().ask(relay)
    freed_after = timedelta(0)
    while not isinstance(Pod().ask(relay), Lease):
        relay.clock.advance(seconds=1)
        freed_after = relay.clock() - NOW

    assert freed_after == HEARTBEAT + timedelta(seconds=30)


class TestPlayers:
    """A million players that hold a lease and renew it. A player that only decodes holds none, and calls nobody."""

    players = 1_000_000

    def test_a_player_that_starts_calls_nobody(self) -> None:
        """In a process of its own, where making a socket or asking for an address ends it."""
        program = (
            "import socket\n"
            "def refuse(*_, **__): raise SystemExit('a socket was opened')\n"
            "socket.socket.__init__ = socket.create_connection = socket.getaddrinfo = refuse\n"
            "import narrows, threading\n"
            "narrows.Decoder()\n"
            "print([thread.name for thread in threading.enumerate()])\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

        assert (done.returncode, done.stdout.strip()) == (0, "['MainThread']"), done.stderr

    def renewals(self, *, started_within: timedelta, minutes: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """How many renewals come in each minute, from the first start on."""
        chance = np.random.default_rng(7)
        life = HEARTBEAT.total_seconds()
        at = chance.uniform(0, started_within.total_seconds(), self.players)
        counts = np.zeros(minutes, dtype=np.int64)
        while (at < minutes * 60).any():
            at += life * chance.uniform(RENEWAL_EARLIEST, RENEWAL_LATEST, self.players)
            counts += np.bincount((at[at < minutes * 60] / 60).astype(np.int64), minlength=minutes)
        return counts

    def test_of_players_that_start_within_one_life_no_minute_is_half_again_as_busy_as_the_mean(self) -> None:
        counts = self.renewals(started_within=HEARTBEAT, minutes=120)[10:]  # Until then there are fewer players.

        assert counts.max() <= 1.5 * counts.mean()

    def test_of_players_that_start_in_the_same_second_none_is_after_half_an_hour(self) -> None:
        counts = self.renewals(started_within=timedelta(seconds=1), minutes=120)

        # At first they can't be: all of them renew within a fifth of a life, where on average half a life lies between.
        assert counts.max() > 1.5 * counts.mean()
        assert counts[30:].max() <= 1.5 * counts[30:].mean()

    def test_the_simulation_renews_as_the_sdk_does(self) -> None:
        lease = Lease(
            lease_id="lea_1",
            license_id="LIC-0001",
            customer_id="CUS-0001",
            holder="0.a",
            issued_at=NOW,
            expires_at=NOW + HEARTBEAT,
            is_borrowed=False,
        )
        chance = random.Random(1)
        shares = [(renewal_time(lease, chance) - NOW) / HEARTBEAT for _ in range(10_000)]

        assert RENEWAL_EARLIEST <= min(shares) < 0.41
        assert 0.59 < max(shares) <= RENEWAL_LATEST
        assert abs(sum(shares) / len(shares) - 0.5) < 0.005
