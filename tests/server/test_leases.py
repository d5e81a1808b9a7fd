"""Seats over HTTP and in the database: one for each holder, and never more than agreed, even when all ask at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from narrows.license.lease_client import LeaseClient
from narrows.license.seat import Leased, Turned
from narrows_licensing.entitlement import Overage
from narrows_licensing.lease import Lease, read_lease
from narrows_licensing.lease_request import GIVE_BACK_PATH, LEASE_REQUEST_BYTES_MAX, LEASES_PATH, LeaseRequest
from narrows_licensing.license import LeaseTerms
from narrows_licensing.pool import DRIFT
from narrows_licensing.request import Purpose, Request, read_request
from narrows_licensing.testing import a_key
from narrows_server import audit
from narrows_server.app import create_app
from narrows_server.audit import AuditRow
from narrows_server.errors import Invalid
from narrows_server.leases.models import HeldSeat
from narrows_server.licenses import enrolment, service
from narrows_server.licenses.drafts import draft_renewal
from narrows_server.licenses.models import IssuedLicense
from narrows_server.office import Office
from sqlalchemy import select

from .builders import Browser, Clock, a_contract, a_license, an_occasion

TERMS = LeaseTerms(revive=timedelta(hours=1), borrow_max=timedelta(days=14))


def floating(office: Office, seats: int, *, overage: Overage = Overage.NONE) -> IssuedLicense:
    """A license with so many seats, under the contract `kanal-1`."""
    order = service.LicenseOrder(
        customer_id="kanal", contract_id="kanal-1", max_concurrent_encodes=seats, lease=TERMS, overage=overage
    )
    with office.database.transaction() as session:
        return service.issue(session, order, keyring=office.keyring, occasion=an_occasion(office.clock()))


@pytest.fixture
def issued(office: Office) -> IssuedLicense:
    a_contract(office)
    return floating(office, 2)


def a_request(token: str, holder: str, office: Office, **changes: object) -> tuple[LeaseRequest, Ed25519PrivateKey]:
    key = a_key(holder)
    request = LeaseRequest(key=key.public_key(), license_token=token, place=0, asked_at=office.clock())
    return replace(request, **changes), key  # type: ignore[arg-type]


def ask(browser: Browser, office: Office, token: str, holder: str, *, days: int = 0) -> httpx.Response:
    request, key = a_request(token, holder, office, borrow=timedelta(days=days))
    return browser.post(LEASES_PATH, request.sign(key).encode())


def give_back(browser: Browser, office: Office, token: str, holder: str, lease_id: str) -> bool:
    request, key = a_request(token, holder, office, gives_back=lease_id)
    response = browser.post(GIVE_BACK_PATH, request.sign(key).encode())
    return bool(response.json()["was_held"])


def opened(response: httpx.Response, office: Office) -> Lease:
    """The lease as its holder reads it."""
    assert response.status_code == 200, response.text
    return read_lease(response.text, office.keyring.bundle, None, at=office.clock())


def trail(office: Office) -> list[AuditRow]:
    with office.database.snapshot() as session:
        return [row for row in audit.trail(session) if row.action.startswith("lease.")]


class TestTaking:
    def test_a_lease_is_signed_for_its_holder_and_ends_after_the_heartbeat(
        self, office: Office, browser: Browser, issued: IssuedLicense
    ) -> None:
        lease = opened(ask(browser, office, issued.token, "a"), office)

        assert lease.license_id == issued.id
        assert lease.holder == a_request(issued.token, "a", office)[0].holder
        assert lease.expires_at - lease.issued_at == timedelta(seconds=600)

    def test_a_full_pool_says_so_with_a_problem(self, office: Office, browser: Browser, issued: IssuedLicense) -> None:
        for holder in "ab":
            ask(browser, office, issued.token, holder)
        response = ask(browser, office, issued.token, "c")

        assert (response.status_code, response.json()["code"], response.json()["seats"]) == (409, "no_seat", 2)
        assert response.headers["content-type"] == "application/problem+json"

    def test_the_same_request_again_gives_the_same_lease(
        self, office: Office, browser: Browser, issued: IssuedLicense
    ) -> None:
        assert opened(ask(browser, office, issued.token, "a"), office) == opened(
            ask(browser, office, issued.token, "a"), office
        )

    def test_a_killed_holder_frees_its_seat_thirty_seconds_after_its_lease(
        self, office: Office, browser: Browser, issued: IssuedLicense, clock: Clock
    ) -> None:
        for holder in "ab":
            ask(browser, office, issued.token, holder)
        clock.advance(seconds=629)
        assert ask(browser, office, issued.token, "c").status_code == 409

        clock.advance(seconds=1)
        assert ask(browser, office, issued.token, "c").status_code == 200

    def test_overage_is_granted_and_stands_in_the_trail(self, office: Office, browser: Browser) -> None:
        a_contract(office)
        license = floating(office, 1, overage=Overage.DOUBLE)
        codes = [ask(browser, office, license.token, holder).status_code for holder in "abc"]

        assert codes == [200, 200, 409]
        assert [json.loads(row.detail)["over"] for row in trail(office)] == ["yes", "no"]

    def test_seats_that_nobody_can_revive_are_forgotten(
        self, office: Office, browser: Browser, issued: IssuedLicense, clock: Clock
    ) -> None:
        for holder in "ab":
            ask(browser, office, issued.token, holder)
        clock.advance(hours=2)
        ask(browser, office, issued.token, "c")

        with office.database.snapshot() as session:
            assert len(session.scalars(select(HeldSeat)).all()) == 1

    def test_the_client_of_the_sdk_takes_a_seat_is_turned_away_and_gives_it_back(
        self, office: Office, browser: Browser, issued: IssuedLicense
    ) -> None:
        def carry(request: httpx.Request) -> httpx.Response:
            answer = browser.post(request.url.path, request.read())
            return httpx.Response(answer.status_code, content=answer.content)

        client = LeaseClient("https://narrows.test", transport=httpx.MockTransport(carry))
        requests = [a_request(issued.token, holder, office) for holder in "abc"]
        answers = [client.ask(request.sign(key)) for request, key in requests]

        assert [type(answer) for answer in answers] == [Leased, Leased, Turned]
        assert answers[2] == Turned("all 2 seats of the license are taken; one is free when an encode ends")
        assert isinstance(answers[0], Leased)
        lease = read_lease(answers[0].document, office.keyring.bundle, None, at=office.clock())
        request, key = a_request(issued.token, "a", office, gives_back=lease.lease_id)
        assert client.give_back(request.sign(key))
        client.close()


class TestGivingBack:
    def test_a_seat_given_back_is_free_for_the_next(
        self, office: Office, browser: Browser, issued: IssuedLicense
    ) -> None:
        leases = [opened(ask(browser, office, issued.token, holder), office) for holder in "ab"]

        assert give_back(browser, office, issued.token, "a", leases[0].lease_id)
        assert not give_back(browser, office, issued.token, "a", leases[0].lease_id)
        assert ask(browser, office, issued.token, "c").status_code == 200
        assert [row.action for row in trail(office)] == [
            "lease.taken",
            "lease.given_back",
            "lease.taken",
            "lease.taken",
        ]

    def test_nobody_gives_back_the_seat_of_another(
        self, office: Office, browser: Browser, issued: IssuedLicense
    ) -> None:
        lease = opened(ask(browser, office, issued.token, "a"), office)

        assert not give_back(browser, office, issued.token, "b", lease.lease_id)

    def test_a_revoked_license_still_frees_its_seats(
        self, office: Office, browser: Browser, issued: IssuedLicense
    ) -> None:
        lease = opened(ask(browser, office, issued.token, "a"), office)
        with office.database.transaction() as session:
            service.revoke(session, issued.id, keyring=office.keyring, occasion=an_occasion(office.clock()))

        assert ask(browser, office, issued.token, "b").json()["code"] == "revoked"
        assert give_back(browser, office, issued.token, "a", lease.lease_id)


class TestBorrowing:
    def test_a_seat_is_lent_for_days_and_no_longer_than_agreed(
        self, office: Office, browser: Browser, issued: IssuedLicense
    ) -> None:
        lease = opened(ask(browser, office, issued.token, "laptop", days=7), office)
        refused = ask(browser, office, issued.token, "b", days=15)

        assert lease.is_borrowed
        assert lease.expires_at - lease.issued_at == timedelta(days=7)
        assert (refused.status_code, refused.json()["borrow_days_max"]) == (422, 14)


class TestRefusing:
    def test_a_license_that_does_not_float_has_no_seats(self, office: Office, browser: Browser) -> None:
        a_contract(office)
        response = ask(browser, office, a_license(office)[1], "a")

        assert (response.status_code, response.json()["code"]) == (403, "no_seat")

    def test_what_is_no_request_is_refused_before_anything_is_looked_up(
        self, office: Office, browser: Browser, issued: IssuedLicense
    ) -> None:
        for body in (b"", b"\xff", b"a.b.c", b"a" * (LEASE_REQUEST_BYTES_MAX + 1), issued.token.encode()):
            response = browser.post(LEASES_PATH, body)
            assert (response.status_code, response.json()["code"]) == (400, "lease_request_unreadable")

    def test_a_license_of_another_vendor_is_refused(self, office: Office, browser: Browser) -> None:
        # Signed by an installation, so no key of ours: as good as another vendor's.
        stranger = a_request("a.b.c", "a", office)
        response = browser.post(LEASES_PATH, stranger[0].sign(stranger[1]).encode())

        assert (response.status_code, response.json()["code"]) == (422, "lease_request_refused")

    def test_seats_are_shown_to_those_who_may_read(
        self, office: Office, browser: Browser, admin: Browser, issued: IssuedLicense
    ) -> None:
        ask(browser, office, issued.token, "a")

        assert browser.get("/v1/leases").status_code == 401
        assert [item["license_id"] for item in admin.get("/v1/leases").json()["items"]] == [issued.id]


def a_relay_request(key: Ed25519PrivateKey, license_id: str, clock: Clock) -> Request:
    """A relay asks for a certificate."""
    return Request(
        purpose=Purpose.RELAY,
        key=key.public_key(),
        license_id=license_id,
        machine=None,
        sdk_version="0.1.0",
        bundle_version=1,
        asked_at=clock(),
        nonce="n" * 22,
    )


class TestPools:
    def test_a_renewed_license_and_the_one_before_share_their_seats(
        self, office: Office, browser: Browser, issued: IssuedLicense
    ) -> None:
        occasion = an_occasion(office.clock())
        with office.database.transaction() as session:
            draft = draft_renewal(issued, days=365, keyring=office.keyring, at=occasion.at)
            renewed = service.issue_draft(session, draft, keyring=office.keyring, occasion=occasion)
        codes = [
            ask(browser, office, token, holder).status_code
            for token, holder in ((issued.token, "a"), (renewed.token, "b"), (renewed.token, "c"), (renewed.token, "a"))
        ]

        assert codes == [200, 200, 409, 200]

    def test_seats_that_a_relay_hands_out_are_not_handed_out_here(
        self, office: Office, browser: Browser, clock: Clock
    ) -> None:
        a_contract(office)
        license = floating(office, 3)
        relay = a_key("relay")
        request = a_relay_request(relay, license.id, clock)
        with office.database.transaction() as session:
            certificate = enrolment.certify_relay(
                session,
                read_request(request.sign(relay)),
                license_id=license.id,
                seats=2,
                keyring=office.keyring,
                occasion=an_occasion(clock()),
            )
            # Taken back, it still counts: the relay's site may not know of it yet.
            enrolment.withdraw(session, certificate.id, keyring=office.keyring, occasion=an_occasion(clock()))

        assert [ask(browser, office, license.token, holder).status_code for holder in "ab"] == [200, 409]

    def test_a_relay_gets_no_seats_that_others_hold(self, office: Office, browser: Browser, clock: Clock) -> None:
        a_contract(office)
        license = floating(office, 3)
        relay = a_key("relay")
        request = a_relay_request(relay, license.id, clock)
        assert ask(browser, office, license.token, "a").status_code == 200

        def certify(seats: int) -> None:
            with office.database.transaction() as session:
                enrolment.certify_relay(
                    session,
                    read_request(request.sign(relay)),
                    license_id=license.id,
                    seats=seats,
                    keyring=office.keyring,
                    occasion=an_occasion(clock()),
                )

        with pytest.raises(Invalid, match="0 of them with other relays and 1 taken now"):
            certify(3)
        certify(2)
        assert ask(browser, office, license.token, "b").status_code == 409


@pytest.mark.both
def test_of_many_that_ask_at_once_exactly_as_many_get_a_seat_as_there_are(office: Office, clock: Clock) -> None:
    a_contract(office)
    license = floating(office, 5)
    app = create_app(office)

    def live_through(pod: int) -> list[int]:
        """A pod that asks, and asks again because it has not heard the answer."""
        return [ask(Browser(app), office, license.token, str(pod)).status_code for _ in range(3)]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(live_through, range(16)))

    assert sorted(codes[0] for codes in answers) == [200] * 5 + [409] * 11
    assert all(len(set(codes)) == 1 for codes in answers)
    with office.database.snapshot() as session:
        assert len(session.scalars(select(HeldSeat)).all()) == 5
    clock.at += timedelta(seconds=600) + DRIFT
    assert ask(Browser(app), office, license.token, "new").status_code == 200
