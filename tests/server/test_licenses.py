"""Licenses: what is issued is what an SDK accepts, and nothing else is issued."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey
from narrows_licensing.document import OpenedFile, open_file, open_license
from narrows_licensing.license import Kind
from narrows_licensing.policy import Circumstances, evaluate
from narrows_licensing.revocation import Status
from narrows_licensing.signature import public_key_to_text
from narrows_licensing.verdict import Granted, Reason, Refused
from narrows_server.errors import Invalid, NotFound
from narrows_server.licenses import service
from narrows_server.office import Office

from .builders import Browser, Clock, a_contract, a_license, an_occasion


def file_of(office: Office, license_id: str) -> str:
    with office.database.snapshot() as session:
        return service.license_file(session, license_id, keyring=office.keyring, at=office.clock())


def opened(office: Office, license_id: str) -> OpenedFile:
    found = open_file(file_of(office, license_id), roots=office.keyring.roots, at=office.clock())
    assert isinstance(found, OpenedFile)
    return found


def revoke(office: Office, license_id: str) -> None:
    with office.database.transaction() as session:
        service.revoke(session, license_id, keyring=office.keyring, occasion=an_occasion(office.clock()))


def test_an_issued_license_permits_encoding_under_its_contract(office: Office, clock: Clock) -> None:
    a_contract(office)
    license_id, _ = a_license(office, days=90)
    license = opened(office, license_id).license

    assert license.metering.contract_id == "kanal-1"
    assert license.expires_at == clock.at + timedelta(days=90)
    assert isinstance(evaluate(license, Circumstances(now=clock.at, preset="medium", pixels=1920 * 1080)), Granted)


def test_the_token_is_one_that_another_implementation_verifies(office: Office) -> None:
    a_contract(office)
    _, token = a_license(office)
    key = OKPKey.import_key(
        {"kty": "OKP", "crv": "Ed25519", "x": public_key_to_text(office.keyring.license.public_key())}
    )

    assert json.loads(jws.deserialize_compact(token, key, algorithms=["Ed25519"]).payload)["sub"] == "kanal"


def test_a_license_file_of_another_vendor_is_not_accepted(
    office: Office, clock: Clock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from narrows_server.keyring import make_keys, open_keyring
    from narrows_server.settings import Settings

    other = Settings.read({}, home=tmp_path_factory.mktemp("other"))
    make_keys(other, at=clock.at)
    a_contract(office)
    license_id, _ = a_license(office)

    refused = open_license(file_of(office, license_id), roots=open_keyring(other).roots, at=clock.at)
    assert isinstance(refused, Refused)


def test_a_revoked_license_is_on_the_list_that_later_files_carry(office: Office, clock: Clock) -> None:
    a_contract(office)
    first, second = a_license(office)[0], a_license(office)[0]
    assert opened(office, second).revocations is None
    revoke(office, first)
    revocations = opened(office, second).revocations

    assert revocations is not None
    assert revocations.version == 1
    assert opened(office, second).status is Status.GOOD
    verdict = evaluate(opened(office, first).license, Circumstances(now=clock.at, status=opened(office, first).status))
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.REVOKED


def test_each_revocation_publishes_a_higher_version_and_a_repeated_one_none(office: Office) -> None:
    a_contract(office)
    first, second = a_license(office)[0], a_license(office)[0]
    for license_id in (first, first, second, second):
        revoke(office, license_id)
    revocations = opened(office, first).revocations

    assert revocations is not None
    assert revocations.version == 2
    assert {opened(office, license_id).status for license_id in (first, second)} == {Status.REVOKED}


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        ({"kind": Kind.DEVELOPMENT}, "development licenses are made by the SDK"),
        ({"days": 0}, "1 to 1096 days"),
        ({"days": 5000}, "1 to 1096 days"),
        ({"report_url": "http://metering.example"}, "report_url"),
        ({"presets": ("fast", "fast")}, "presets"),
    ],
)
def test_an_order_that_no_sdk_would_accept_is_refused(office: Office, order: dict[str, object], complaint: str) -> None:
    a_contract(office)
    wanted = service.LicenseOrder(customer_id="kanal", contract_id="kanal-1", **order)  # type: ignore[arg-type]

    with pytest.raises(Invalid, match=complaint), office.database.transaction() as session:
        service.issue(session, wanted, keyring=office.keyring, occasion=an_occasion())


def test_a_license_is_not_issued_under_another_customers_contract(office: Office) -> None:
    a_contract(office)
    a_contract(office, customer_id="other", contract_id="other-1")

    with pytest.raises(NotFound):
        a_license(office, customer_id="kanal", contract_id="other-1")


def test_a_license_never_outlives_the_trust_in_its_key(office: Office, clock: Clock) -> None:
    a_contract(office)
    clock.advance(days=4 * 365)

    with pytest.raises(Invalid, match="the trust bundle ends"):
        a_license(office, days=365)


def test_licenses_are_listed_without_their_tokens(office: Office, admin: Browser, clock: Clock) -> None:
    a_contract(office)
    license_id, token = a_license(office, days=10)
    clock.advance(days=11)
    answer = admin.get("/v1/licenses")

    assert [(item["id"], item["state"]) for item in answer.json()["items"]] == [(license_id, "grace")]
    assert token not in answer.text
