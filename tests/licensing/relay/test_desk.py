"""Leases of a relay are believed from the vendor's keys alone, and are never more than its certificate says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from narrows_licensing.certificate import Pool
from narrows_licensing.errors import LicensingError
from narrows_licensing.lease import Lease
from narrows_licensing.pool import Full, TooLong
from narrows_licensing.testing import NOW
from narrows_licensing.verdict import Reason, Refused

from .sites import Pod, SiteRelay, a_floating_license


def leased(pod: Pod, relay: SiteRelay, **changes: object) -> Lease:
    lease = pod.ask(relay, **changes)
    assert isinstance(lease, Lease), lease
    return lease


def detail(pod: Pod, relay: SiteRelay) -> str:
    refused = pod.ask(relay)
    assert isinstance(refused, Refused)
    return refused.detail


def test_a_lease_of_a_certified_relay_is_believed_offline(tmp_path: Path) -> None:
    lease = leased(Pod(), SiteRelay.open(tmp_path))

    assert (lease.license_id, lease.expires_at) == ("LIC-0001", NOW + timedelta(seconds=600))


def test_a_relay_hands_out_its_seats_whatever_the_license_has(tmp_path: Path) -> None:
    relay = SiteRelay.open(tmp_path, seats=2)
    pods = [Pod(license=a_floating_license(50)) for _ in range(3)]

    assert [type(pod.ask(relay)) for pod in pods] == [Lease, Lease, Full]


def test_a_seat_is_renewed_lent_and_given_back(tmp_path: Path) -> None:
    relay, pod = SiteRelay.open(tmp_path, seats=1), Pod()
    first = leased(pod, relay)
    relay.clock.advance(seconds=300)

    assert leased(pod, relay).lease_id == first.lease_id
    assert pod.ask(relay, borrow=timedelta(days=8)) == TooLong(timedelta(days=7))
    assert leased(pod, relay, borrow=timedelta(days=7)).is_borrowed
    assert pod.give_back(relay, first)
    assert not pod.give_back(relay, first)
    assert relay.occupied() == 0


def test_a_relay_that_was_killed_remembers_who_sits(tmp_path: Path) -> None:
    relay, pod = SiteRelay.open(tmp_path, seats=1), Pod()
    first = leased(pod, relay)
    relay.store.close()
    relay = SiteRelay.open(tmp_path, seats=1)

    assert isinstance(Pod().ask(relay), Full)
    assert leased(pod, relay).lease_id == first.lease_id


def test_a_renewed_license_finds_the_seats_of_the_one_before_occupied(tmp_path: Path) -> None:
    relay, pods = SiteRelay.open(tmp_path, seats=2), [Pod() for _ in range(2)]
    for pod in pods:
        leased(pod, relay)
    relay.store.close()
    relay = SiteRelay.open(tmp_path, seats=2, pools=(Pool(license_id="LIC-0002", seats=2),))
    renewed = a_floating_license(license_id="LIC-0002")

    assert isinstance(Pod(license=renewed).ask(relay), Full)
    assert isinstance(Pod(license=renewed, key=pods[0].key).ask(relay), Lease)


def test_no_lease_outlives_the_certificate_and_none_is_given_after_it(tmp_path: Path) -> None:
    relay = SiteRelay.open(tmp_path, expires_at=NOW + timedelta(seconds=90))

    assert leased(Pod(), relay).expires_at == NOW + timedelta(seconds=90)
    relay.clock.advance(seconds=90)
    assert "certificate of this relay ended" in detail(Pod(), relay)


def test_a_license_that_is_not_the_relays_to_hand_out_gets_no_seat(tmp_path: Path) -> None:
    relay = SiteRelay.open(tmp_path)

    assert "no seats of license LIC-0002" in detail(Pod(license=a_floating_license(license_id="LIC-0002")), relay)
    assert "no seats of license" in detail(Pod(license=a_floating_license(customer_id="CUS-0002")), relay)


def test_what_the_relay_knows_to_be_revoked_gets_no_seat(tmp_path: Path) -> None:
    refused = Pod().ask(SiteRelay.open(tmp_path / "a", revoked=(1,)))

    assert isinstance(refused, Refused)
    assert refused.reason is Reason.REVOKED
    assert "taken back" in detail(Pod(), SiteRelay.open(tmp_path / "b", revoked=(9,)))


def test_what_nobody_signed_is_not_believed(tmp_path: Path) -> None:
    relay = SiteRelay.open(tmp_path)

    with pytest.raises(LicensingError):
        relay.desk.lease("a.b.c")
    assert relay.occupied() == 0
