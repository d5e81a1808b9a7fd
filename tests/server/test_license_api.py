"""Licenses over the API: issued, handed out, suspended, revoked; by two people where that is asked for."""

from __future__ import annotations

import pytest
from narrows_licensing.document import open_license
from narrows_licensing.license import License
from narrows_server.access.roles import Role
from narrows_server.office import Office

from .api import a_program
from .builders import a_contract
from .people import a_person, at_a_browser

ORDER = {"customer_id": "kanal", "contract_id": "kanal-1", "days": 30}


@pytest.fixture(autouse=True)
def _contract(office: Office) -> None:
    a_contract(office)


def test_from_issuing_to_revoking(office: Office) -> None:
    admin = a_program(office, Role.LICENSE_ADMIN)
    issued = admin.post("/v1/licenses", ORDER)
    assert issued.status_code == 201
    path = f"/v1/licenses/{issued.json()['license']['id']}"
    opened = open_license(admin.get(f"{path}/file").text, roots=office.keyring.roots, at=office.clock())
    assert isinstance(opened, License)
    renewed = admin.post(f"{path}/renew", {"days": 60}).json()["license"]
    assert renewed["replaces"] == issued.json()["license"]["id"]
    assert admin.post(f"{path}/suspend").json()["license"]["state"] == "suspended"
    assert admin.post(f"{path}/reinstate").json()["license"]["state"] == "valid"
    assert admin.post(f"{path}/revoke").json()["license"]["state"] == "revoked"
    assert admin.post(f"{path}/reinstate").status_code == 422


def test_where_two_are_asked_for_one_proposes_and_another_approves(office: Office) -> None:
    object.__setattr__(office.settings, "is_two_person", True)
    admin = a_program(office, Role.LICENSE_ADMIN)
    proposed = admin.post("/v1/licenses", ORDER).json()
    assert proposed["license"] is None
    owner = at_a_browser(office, a_person(office))
    approved = owner.send(office, "POST", f"/v1/proposals/{proposed['proposal_id']}/approve").json()
    path = f"/v1/licenses/{approved['outcome']}"
    asked = admin.post(f"{path}/revoke").json()
    assert asked["license"]["state"] == "valid"
    owner.send(office, "POST", f"/v1/proposals/{asked['proposal_id']}/approve")

    assert admin.get(path).json()["state"] == "revoked"


def test_a_customer_gets_its_own_file_and_an_auditor_none(office: Office) -> None:
    license_id = a_program(office).post("/v1/licenses", ORDER).json()["license"]["id"]
    path = f"/v1/licenses/{license_id}/file"

    assert a_program(office, Role.CUSTOMER, customer_id="kanal").get(path).status_code == 200
    assert a_program(office, Role.AUDITOR).get(path).status_code == 403


@pytest.mark.parametrize("change", [{"days": 0}, {"days": 10**9}, {"kind": "free"}, {"binding": "x"}])
def test_what_can_not_be_meant_is_refused(office: Office, change: dict[str, object]) -> None:
    assert a_program(office).post("/v1/licenses", {**ORDER, **change}).status_code == 422


def test_a_license_for_nobody_is_not_found(office: Office) -> None:
    assert a_program(office).post("/v1/licenses", {**ORDER, "customer_id": "nobody"}).status_code in {404, 422}
