"""Never more leases than seats, no seat that is lost, and nobody who loses a seat by asking twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from narrows_licensing.certificate import Pool, RelayCertificate
from narrows_licensing.entitlement import Overage
from narrows_licensing.license import LeaseTerms, License
from narrows_licensing.pool import DRIFT, Change, Full, PoolTerms, Taken, TooLong
from narrows_licensing.testing import NOW, a_key, a_license

from .pools import MemoryPool, some_terms

HOUR = timedelta(hours=1)
HEARTBEAT = timedelta(seconds=600)


def taken(pool: MemoryPool, holder: str, at: datetime = NOW, *, borrow: timedelta = timedelta(0)) -> Taken:
    got = pool.take(holder, at, borrow=borrow)
    assert isinstance(got, Taken), got
    return got


def a_floating_license(seats: int = 50, *, overage: Overage = Overage.NONE) -> License:
    license = a_license()
    entitlements = replace(license.entitlements, max_concurrent_encodes=seats, overage=overage)
    return replace(license, entitlements=entitlements, lease=LeaseTerms())


class TestSeats:
    def test_a_pool_hands_out_its_seats_and_no_more(self) -> None:
        pool = MemoryPool(some_terms(2))

        assert {taken(pool, "a").change, taken(pool, "b").change} == {Change.TAKEN}
        assert pool.take("c", NOW) == Full(2)

    def test_asking_again_renews_the_seat_and_takes_no_second_one(self) -> None:
        pool = MemoryPool(some_terms(2))
        first = taken(pool, "a").seat

        again = taken(pool, "a", NOW + timedelta(minutes=5))

        assert (again.change, again.seat.lease_id) == (Change.RENEWED, first.lease_id)
        assert again.seat.expires_at == NOW + timedelta(minutes=15)
        assert pool.occupied(NOW) == 1

    def test_the_same_request_twice_gives_the_same_seat(self) -> None:
        pool = MemoryPool(some_terms())

        assert taken(pool, "a").seat == taken(pool, "a").seat

    def test_a_seat_given_back_is_free_at_once(self) -> None:
        pool = MemoryPool(some_terms(1))
        lease_id = taken(pool, "a").seat.lease_id

        assert pool.give_back("a", lease_id)
        assert not pool.give_back("a", lease_id)
        assert taken(pool, "b").change is Change.TAKEN

    def test_an_old_lease_gives_back_no_seat_that_was_taken_since(self) -> None:
        pool = MemoryPool(some_terms(1))
        old = taken(pool, "a").seat.lease_id
        pool.give_back("a", old)
        taken(pool, "a")

        assert not pool.give_back("a", old)
        assert pool.occupied(NOW) == 1

    def test_a_holder_that_was_killed_frees_its_seat_thirty_seconds_after_its_lease(self) -> None:
        pool = MemoryPool(some_terms(1))
        end = taken(pool, "killed").seat.expires_at

        assert end == NOW + HEARTBEAT
        assert pool.take("b", end + DRIFT - timedelta(seconds=1)) == Full(1)
        assert taken(pool, "b", end + timedelta(seconds=30)).change is Change.TAKEN

    def test_a_holder_that_was_killed_and_restarts_finds_its_own_seat_in_a_full_pool(self) -> None:
        pool = MemoryPool(some_terms(1))
        before = taken(pool, "a").seat

        assert taken(pool, "a", NOW + timedelta(seconds=7)).seat.lease_id == before.lease_id


class TestReviving:
    def test_an_ended_seat_is_revived_within_its_window_and_new_after_it(self) -> None:
        pool = MemoryPool(some_terms(revive=HOUR))
        first = taken(pool, "a").seat

        within = taken(pool, "a", first.expires_at + HOUR)
        after = taken(pool, "a", within.seat.expires_at + HOUR + DRIFT)

        assert (within.change, within.seat.lease_id) == (Change.REVIVED, first.lease_id)
        assert (after.change, after.seat.lease_id == first.lease_id) == (Change.TAKEN, False)

    def test_reviving_takes_no_seat_from_those_who_came_in_between(self) -> None:
        pool = MemoryPool(some_terms(1, revive=HOUR))
        end = taken(pool, "a").seat.expires_at
        taken(pool, "b", end + DRIFT)

        assert pool.take("a", end + DRIFT) == Full(1)


class TestBorrowing:
    terms = some_terms(1, borrow_max=timedelta(days=14))

    def test_a_borrowed_seat_is_kept_for_days_without_a_call(self) -> None:
        pool = MemoryPool(self.terms)
        borrowed = taken(pool, "laptop", borrow=timedelta(days=7))

        assert (borrowed.change, borrowed.seat.expires_at) == (Change.BORROWED, NOW + timedelta(days=7))
        assert pool.take("b", NOW + timedelta(days=6)) == Full(1)

    def test_a_borrowed_seat_is_handed_out_again_as_it_is(self) -> None:
        pool = MemoryPool(self.terms)
        borrowed = taken(pool, "laptop", borrow=timedelta(days=7)).seat

        assert taken(pool, "laptop", NOW + HOUR) == Taken(seat=borrowed, change=Change.NONE, is_over_agreed=False)

    def test_a_seat_that_is_held_can_be_taken_along(self) -> None:
        pool = MemoryPool(self.terms)
        lease_id = taken(pool, "laptop").seat.lease_id

        assert taken(pool, "laptop", borrow=timedelta(days=1)).seat.lease_id == lease_id

    def test_a_borrowed_seat_can_be_brought_back_early(self) -> None:
        pool = MemoryPool(self.terms)
        pool.give_back("laptop", taken(pool, "laptop", borrow=timedelta(days=7)).seat.lease_id)

        assert taken(pool, "b").change is Change.TAKEN

    def test_nobody_borrows_for_longer_than_agreed(self) -> None:
        pool = MemoryPool(self.terms)

        assert pool.take("laptop", NOW, borrow=timedelta(days=15)) == TooLong(timedelta(days=14))


class TestTerms:
    def test_no_lease_outlives_the_license(self) -> None:
        pool = MemoryPool(some_terms(ends_at=NOW + timedelta(seconds=90)))

        assert taken(pool, "a").seat.expires_at == NOW + timedelta(seconds=90)

    @pytest.mark.parametrize(
        ("overage", "permitted"), [(Overage.NONE, 50), (Overage.QUARTER, 62), (Overage.DOUBLE, 100)]
    )
    def test_overage_is_granted_and_said_to_be_beyond_what_was_agreed(self, overage: Overage, permitted: int) -> None:
        pool = MemoryPool(PoolTerms.of_vendor(a_floating_license(overage=overage)))
        over = [taken(pool, str(number)).is_over_agreed for number in range(permitted)]

        assert over == [False] * 50 + [True] * (permitted - 50)
        assert pool.take("one more", NOW) == Full(permitted)

    def test_seats_of_a_license_without_an_end_are_never_full(self) -> None:
        pool = MemoryPool(PoolTerms.of_vendor(a_floating_license(1, overage=Overage.ALWAYS)))

        assert [taken(pool, str(number)).is_over_agreed for number in range(3)] == [False, True, True]

    def test_the_seats_of_relays_are_not_handed_out_by_the_vendor_as_well(self) -> None:
        terms = PoolTerms.of_vendor(a_floating_license(overage=Overage.HALF), set_aside=20)

        assert (terms.agreed, terms.permitted) == (30, 55)

    def test_a_relay_hands_out_what_its_certificate_says_and_not_beyond_its_end(self) -> None:
        license = a_floating_license(overage=Overage.ALWAYS)
        certificate = RelayCertificate(
            certificate_id="REL-1",
            customer_id=license.customer_id,
            key=a_key("relay").public_key(),
            issued_at=NOW,
            expires_at=NOW + timedelta(days=30),
            status_index=1,
            pools=(Pool(license_id=license.license_id, seats=20),),
        )
        terms = PoolTerms.of_relay(license, certificate)

        assert (terms.agreed, terms.permitted, terms.ends_at) == (20, 20, certificate.expires_at)

    def test_fewer_seats_than_are_held_empty_as_leases_end_and_are_never_exceeded_again(self) -> None:
        pool = MemoryPool(some_terms(3))
        for name in "abc":
            taken(pool, name)
        pool.terms = some_terms(2)

        assert pool.take("a", NOW + HEARTBEAT / 2) == Full(2)
        after = NOW + HEARTBEAT + DRIFT
        assert [type(pool.take(name, after)) for name in "abc"] == [Taken, Taken, Full]


class Pods(RuleBasedStateMachine):
    """
    Pods that take, renew, borrow and give back, with clocks that disagree by up to 30 s.

    A pod that is killed does nothing more: that is waiting. One that restarts asks under its own name again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.pool = MemoryPool(some_terms(3, revive=HOUR, borrow_max=timedelta(days=2)))
        self.out: dict[str, tuple[str, datetime]] = {}  # What the pods believe in: their lease and its end.

    @rule(pod=st.sampled_from("abcdef"), skew=st.integers(-14, 15), days=st.sampled_from([0, 0, 0, 1, 2, 3]))
    def ask(self, pod: str, skew: int, days: int) -> None:
        had = self.out.get(pod)
        got = self.pool.take(pod, self.now + timedelta(seconds=skew), borrow=timedelta(days=days))
        if isinstance(got, Taken):
            assert had is None or got.seat.expires_at >= had[1]
            self.out[pod] = (got.seat.lease_id, got.seat.expires_at)
        elif isinstance(got, Full):
            assert had is None or had[1] <= self.now + 2 * DRIFT, "a holder was refused its own seat"

    @precondition(lambda self: self.out)
    @rule(choice=st.randoms(use_true_random=False))
    def stop(self, choice: object) -> None:
        pod = sorted(self.out)[choice.randrange(len(self.out))]  # type: ignore[attr-defined]
        self.pool.give_back(pod, self.out.pop(pod)[0])

    @rule(seconds=st.integers(0, 4000))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def there_are_never_more_leases_than_seats(self) -> None:
        assert sum(end > self.now for _, end in self.out.values()) <= 3

    @invariant()
    def every_live_lease_has_its_seat(self) -> None:
        live = {pod: lease_id for pod, (lease_id, end) in self.out.items() if end > self.now}
        assert live == {pod: self.pool.seats[pod].lease_id for pod in live}

    def teardown(self) -> None:
        """When everybody is gone, every seat is free: none was lost."""
        end = max((end for _, end in self.out.values()), default=self.now) + DRIFT
        assert self.pool.occupied(end) == 0
        assert [type(self.pool.take(f"new {number}", end)) for number in range(4)] == [Taken, Taken, Taken, Full]


TestPods = Pods.TestCase
TestPods.settings = settings(max_examples=60, stateful_step_count=40)


@given(order=st.permutations(range(8)))
def test_the_order_of_requests_decides_who_sits_and_never_how_many(order: list[int]) -> None:
    pool = MemoryPool(some_terms(5))

    got = [pool.take(str(pod), NOW) for pod in order]

    assert [type(one) for one in got] == [Taken] * 5 + [Full] * 3
