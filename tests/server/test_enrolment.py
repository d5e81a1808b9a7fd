"""Enrolment and the license log, between a real server and a real installation that have no network between them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from narrows.errors import LogRefused
from narrows.installation import Installation
from narrows.license.activation import activate, certificate_file, import_response, make_request
from narrows.license.gate import judge
from narrows.license.license_log import check_license_log
from narrows.settings import Settings
from narrows_licensing.certificate import read_installation_certificate, read_relay_certificate
from narrows_licensing.license import LeaseTerms
from narrows_licensing.qr import to_qr_text
from narrows_licensing.request import Purpose, Request, read_request
from narrows_licensing.revocation import Status
from narrows_licensing.signature import Typ, sign
from narrows_licensing.testing import a_key
from narrows_licensing.testing import a_license as a_license_value
from narrows_licensing.trust import Role
from narrows_licensing.verdict import Reason, Refused
from narrows_server.errors import Invalid, NotFound
from narrows_server.licenses import enrolment, service
from narrows_server.licenses.log import license_log
from narrows_server.office import Office, open_office

from .builders import Browser, Clock, a_contract, a_license, an_occasion
from .test_licenses import file_of
from .test_proposals import opened
from .test_rotation import rotated


@pytest.fixture
def customer(office: Office, tmp_path: Path) -> Settings:
    """A machine at the customer's, with the vendor's root keys and nothing else."""
    folder = tmp_path / "customer"
    folder.mkdir()
    (folder / "roots.json").write_text(office.keyring.roots.to_json())
    return Settings(
        license_path=folder / "license.json", roots_path=folder / "roots.json", state_folder=folder / "state"
    )


def ask(customer: Settings, office: Office, purpose: Purpose = Purpose.ENROL) -> Request:
    """A request as it arrives at the vendor."""
    request = make_request(customer, purpose, with_machine=False, at=office.clock())
    return read_request(request.sign(Installation.open(customer.state_folder).key))


def answer(office: Office, request: Request, license_id: str | None) -> str:
    with office.database.transaction() as session:
        occasion, keyring = an_occasion(office.clock()), office.keyring
        certificate = enrolment.enrol(session, request, customer_id="kanal", keyring=keyring, occasion=occasion)
        response = enrolment.respond(session, certificate, license_id, keyring=keyring, occasion=occasion)
    return response.to_json(indent=None)


def floating(office: Office, seats: int) -> str:
    order = service.LicenseOrder(
        customer_id="kanal", contract_id="kanal-1", max_concurrent_encodes=seats, lease=LeaseTerms()
    )
    with office.database.transaction() as session:
        return service.issue(session, order, keyring=office.keyring, occasion=an_occasion(office.clock())).id


def certify(office: Office, request: Request, license_id: str, seats: int) -> str:
    with office.database.transaction() as session:
        return enrolment.certify_relay(
            session,
            request,
            license_id=license_id,
            seats=seats,
            keyring=office.keyring,
            occasion=an_occasion(office.clock()),
        ).token


def test_an_installation_without_a_network_is_enrolled_and_licensed_by_qr_codes(
    office: Office, customer: Settings
) -> None:
    a_contract(office)
    license_id, _ = a_license(office)
    text = answer(office, ask(customer, office), license_id)
    import_response(customer, to_qr_text(text), at=office.clock())

    verdict = judge(customer, now=office.clock(), latest_time_seen=None, preset=None, pixels=None)
    assert not isinstance(verdict, Refused)
    certificate = read_installation_certificate(
        certificate_file(customer).read_text().strip(),
        office.keyring.bundle.keys_for(Role.INSTALLATION, office.clock()),
    )
    assert certificate.customer_id == "kanal"
    assert certificate.installation_id == Installation.open(customer.state_folder).id


def test_a_customer_without_a_network_goes_on_after_the_vendor_has_changed_its_key(
    office: Office, customer: Settings
) -> None:
    """Rotation end to end, as the SDK lives it: nothing but a license file crosses over, and the old key is dead."""
    # Given a customer that encodes under a license of the first key.
    a_contract(office)
    before = file_of(office, a_license(office)[0])
    activate(customer, before, at=office.clock())

    # When two roots vouch for a key that is made now, because the first one was stolen.
    rotated(office, Role.LICENSE, withdraw=True)
    with open_office(office.settings, clock=office.clock) as renewed:
        after = file_of(renewed, a_license(renewed)[0])
    activate(customer, after, at=office.clock())

    # Then its next encode is permitted, and the thief's license is refused from now on.
    assert not isinstance(judge(customer, now=office.clock(), latest_time_seen=None, preset=None, pixels=None), Refused)
    customer.license_path.write_text(before)
    refused = judge(customer, now=office.clock(), latest_time_seen=None, preset=None, pixels=None)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.UNTRUSTED_KEY


def test_one_installation_is_taken_back_without_the_license(office: Office, customer: Settings) -> None:
    a_contract(office)
    license_id, _ = a_license(office)
    with office.database.transaction() as session:
        certificate = enrolment.enrol(
            session, ask(customer, office), customer_id="kanal", keyring=office.keyring, occasion=an_occasion()
        )
        number = certificate.status_index
        enrolment.withdraw(session, certificate.id, keyring=office.keyring, occasion=an_occasion())
        enrolment.withdraw(session, certificate.id, keyring=office.keyring, occasion=an_occasion())

    found = opened(office, license_id)
    assert found.revocations is not None
    assert (found.revocations.version, found.status) == (1, Status.GOOD)
    assert found.revocations.status_of(number) is Status.REVOKED


class TestRelays:
    def test_a_relay_gets_seats_of_a_floating_license_and_no_more_than_there_are(
        self, office: Office, customer: Settings, clock: Clock
    ) -> None:
        a_contract(office)
        license_id = floating(office, 50)
        request = ask(customer, office, Purpose.RELAY)
        certificate = read_relay_certificate(
            certify(office, request, license_id, 30), office.keyring.bundle.keys_for(Role.LEASE, clock.at)
        )
        assert certificate.seats_of(license_id) == 30
        assert certify(office, request, license_id, 50)  # The same relay again: its old seats are its own.
        other = replace(customer, state_folder=customer.state_folder / "other")
        with pytest.raises(Invalid, match="50 of them with other relays"):
            certify(office, ask(other, office, Purpose.RELAY), license_id, 1)

    def test_only_floating_licenses_are_handed_out_and_only_relays_hand_them_out(
        self, office: Office, customer: Settings
    ) -> None:
        a_contract(office)
        license_id, _ = a_license(office)
        with pytest.raises(Invalid, match="does not float"):
            certify(office, ask(customer, office, Purpose.RELAY), license_id, 1)
        with pytest.raises(Invalid, match="not a relay's"):
            certify(office, ask(customer, office), floating(office, 5), 1)
        with pytest.raises(Invalid, match="is a relay's"):
            answer(office, ask(customer, office, Purpose.RELAY), None)


def test_a_license_of_another_customer_is_not_sent_along(office: Office, customer: Settings) -> None:
    a_contract(office)
    a_contract(office, customer_id="other", contract_id="other-1")
    license_id, _ = a_license(office, customer_id="other", contract_id="other-1")

    with pytest.raises(NotFound):
        answer(office, ask(customer, office), license_id)


class TestLog:
    def log(self, office: Office) -> str:
        with office.database.snapshot() as session:
            return license_log(session, "kanal", keyring=office.keyring, at=office.clock())

    def test_a_customer_lists_everything_ever_signed_in_its_name_and_nothing_of_others(
        self, office: Office, customer: Settings
    ) -> None:
        a_contract(office)
        a_contract(office, customer_id="other", contract_id="other-1")
        mine = [a_license(office)[0] for _ in range(3)]
        a_license(office, customer_id="other", contract_id="other-1")
        import_response(customer, answer(office, ask(customer, office), mine[2]), at=office.clock())
        with office.database.transaction() as session:
            service.revoke(session, mine[0], keyring=office.keyring, occasion=an_occasion())

        log = check_license_log(customer, self.log(office), at=office.clock())

        assert [(entry.kind, entry.id) for entry in log.entries[:3]] == [("license", license_id) for license_id in mine]
        assert [entry.kind for entry in log.entries[3:]] == ["installation"]

    def test_whoever_holds_a_license_gets_the_log_and_nobody_else(
        self, office: Office, browser: Browser, customer: Settings
    ) -> None:
        a_contract(office)
        license_id, token = a_license(office)
        import_response(customer, answer(office, ask(customer, office), license_id), at=office.clock())
        answered = browser.post("/v1/license-log", token.encode())
        stranger = sign(a_license_value().claims(), typ=Typ.LICENSE, key=a_key("stranger"))

        assert answered.status_code == 200
        assert check_license_log(customer, answered.text, at=office.clock())
        assert browser.post("/v1/license-log", stranger.encode()).status_code == 404
        assert browser.post("/v1/license-log", b"\xff" * 9000).status_code == 422

    def test_a_log_from_which_something_has_disappeared_is_refused(self, office: Office, customer: Settings) -> None:
        a_contract(office)
        first, second = a_license(office)[0], a_license(office)[0]
        import_response(customer, answer(office, ask(customer, office), second), at=office.clock())
        assert check_license_log(customer, self.log(office), at=office.clock())

        with office.database.transaction() as session:
            session.delete(service.require_license(session, first))

        with pytest.raises(LogRefused, match="does not begin with"):
            check_license_log(customer, self.log(office), at=office.clock())

    def test_a_license_that_is_used_and_was_never_logged_is_noticed(self, office: Office, customer: Settings) -> None:
        a_contract(office)
        hidden = a_license(office)[0]
        import_response(customer, answer(office, ask(customer, office), hidden), at=office.clock())
        with office.database.transaction() as session:
            session.delete(service.require_license(session, hidden))

        with pytest.raises(LogRefused, match="used here, is not in the log"):
            check_license_log(customer, self.log(office), at=office.clock())

    def test_a_changed_log_is_refused(self, office: Office, customer: Settings) -> None:
        a_contract(office)
        license_id, _ = a_license(office)
        import_response(customer, answer(office, ask(customer, office), license_id), at=office.clock())
        document = json.loads(self.log(office))
        document["entries"][0]["expires_at"] = document["entries"][0]["issued_at"]

        with pytest.raises(LogRefused, match="missing or was changed"):
            check_license_log(customer, json.dumps(document), at=office.clock() + timedelta(hours=1))
