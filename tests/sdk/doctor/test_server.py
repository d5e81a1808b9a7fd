"""The server is asked only if wanted; one that does not answer, or not as the vendor, is found."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from narrows.doctor.server import examine_server
from narrows.finding import Finding, Outcome
from narrows.settings import Settings

from ..vendor import Vendor, Wire, connect_by


def found_by(machine: Settings, vendor: Vendor, wire: Wire, *, online: bool = True, ahead: int = 0) -> list[Finding]:
    at = vendor.clock() + timedelta(minutes=ahead)
    return list(examine_server(machine, at=at, online=online, connect=connect_by(wire)))


def test_a_server_that_answers_with_the_vendors_signature_is_good(vendor: Vendor) -> None:
    found = found_by(vendor.equip(), vendor, vendor.wire())

    assert [(finding.check, finding.outcome) for finding in found] == [
        ("server", Outcome.GOOD),
        ("server's clock", Outcome.GOOD),
    ]


def test_it_is_asked_only_if_wanted(vendor: Vendor) -> None:
    wire = vendor.wire()
    (found,) = found_by(vendor.equip(), vendor, wire, online=False)

    assert found.outcome is Outcome.SKIPPED
    assert wire.requests == []


def test_a_license_without_a_server_and_no_license_at_all_skip_it(vendor: Vendor) -> None:
    offline, nothing = vendor.equip(url=None), vendor.equip("other")
    nothing.license_path.unlink()

    for machine in (offline, nothing):
        (found,) = found_by(machine, vendor, vendor.wire())
        assert found.outcome is Outcome.SKIPPED


def refuses(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused", request=request)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (refuses, "can't reach"),
        (lambda _: httpx.Response(503, json={"code": "overloaded", "request_id": "r1"}), "refused"),
        (lambda _: httpx.Response(200, json={"tree_head": "e30.e30.e30"}), "not as the vendor"),
        (lambda _: httpx.Response(200, text="<html>sign in to the hotel's network"), "not JSON"),
    ],
    ids=["unreachable", "refuses", "somebody else", "a captive portal"],
)
def test_what_stands_in_the_way_is_named(vendor: Vendor, fault: object, says: str) -> None:
    (found,) = found_by(vendor.equip(), vendor, vendor.wire(fault))  # type: ignore[arg-type]

    assert found.outcome is Outcome.BAD
    assert says in found.detail
    assert found.todo


def test_clocks_that_differ_are_noticed(vendor: Vendor) -> None:
    assert found_by(vendor.equip(), vendor, vendor.wire(), ahead=4)[1].outcome is Outcome.GOOD
    assert found_by(vendor.equip("late"), vendor, vendor.wire(), ahead=6)[1].outcome is Outcome.NOTICE
