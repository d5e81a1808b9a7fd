"""People over the API and the command line, and what takes two of them."""

from __future__ import annotations

import json

import pytest
from narrows_server.access.roles import Role
from narrows_server.cli import app as commands_app
from narrows_server.licenses import proposals as license_proposals
from narrows_server.licenses.drafts import LicenseOrder, draft_new
from narrows_server.office import Office
from narrows_server.people import service
from narrows_server.people.models import Person
from narrows_server.proposals import kinds
from narrows_server.proposals import service as proposals
from typer.testing import CliRunner

from .api import a_program
from .builders import a_contract, a_license, an_occasion
from .people import Seat, a_person, at_a_browser


def post(office: Office, seat: Seat, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    answer = seat.send(office, "POST", path, json.dumps(body or {}).encode())
    return answer.status_code, answer.json()


class TestTheApi:
    def test_an_owner_invites_changes_and_disables(self, office: Office) -> None:
        seat = at_a_browser(office, a_person(office))
        order = {"email": "New@Narrows.test", "name": "New", "role": "finance"}
        status, invited = post(office, seat, "/v1/people", order)
        assert status == 201
        assert "/invitation?token=" in str(invited["invitation"])
        assert post(office, seat, "/v1/people", order)[0] == 409
        path = f"/v1/people/{invited['id']}"
        assert post(office, seat, f"{path}/role", {"role": "auditor"})[1]["person"]["role"] == "auditor"  # type: ignore[index]
        assert post(office, seat, f"{path}/disable")[1]["disabled_at"] is not None
        assert post(office, seat, f"{path}/enable")[1]["disabled_at"] is None
        assert "invitation" in post(office, seat, f"{path}/reset")[1]
        assert post(office, seat, f"{path}/end-sessions")[0] == 200

    @pytest.mark.parametrize(
        "order",
        [
            {"email": "no address", "name": "A", "role": "owner"},
            {"email": "a@b.test\nBcc: c@d.test", "name": "A", "role": "owner"},
            {"email": "a@b.test", "name": "A\r\nB", "role": "owner"},
            {"email": "a@b.test", "name": "A", "role": "god"},
            {"email": "a@b.test", "name": "A", "role": "customer"},
            {"email": "a@b.test", "name": "A", "role": "owner", "customer_id": "kanal"},
        ],
    )
    def test_what_can_not_be_meant_is_refused(self, office: Office, order: dict[str, str]) -> None:
        seat = at_a_browser(office, a_person(office))

        assert post(office, seat, "/v1/people", order)[0] == 422

    def test_no_program_changes_people(self, office: Office) -> None:
        order = {"email": "a@b.test", "name": "A", "role": "owner"}

        assert a_program(office).post("/v1/people", order).status_code == 403


class TestTwoPeople:
    @pytest.fixture
    def anna(self, office: Office) -> Person:
        return a_person(office, email="anna@narrows.test")

    @pytest.fixture
    def bert(self, office: Office) -> Person:
        return a_person(office, email="bert@narrows.test")

    def propose(self, office: Office, kind: str, document: str, *, human: str | None = None) -> str:
        with office.database.transaction() as session:
            occasion = an_occasion(office.clock())
            if human is not None:
                occasion = type(occasion)(actor="key:key_1", at=occasion.at, human=human)
            return proposals.propose(session, kind, document, occasion=occasion).id

    def test_a_license_is_revoked_when_the_second_agrees(self, office: Office, anna: Person) -> None:
        a_contract(office)
        license_id, _ = a_license(office)
        proposal = self.propose(office, kinds.REVOKE_LICENSE, json.dumps({"license_id": license_id}))
        assert a_program(office).get(f"/v1/licenses/{license_id}").json()["state"] == "valid"
        seat = at_a_browser(office, anna)
        status, decided = post(office, seat, f"/v1/proposals/{proposal}/approve")

        assert (status, decided["decision"], decided["outcome"]) == (200, "approved", license_id)
        assert a_program(office).get(f"/v1/licenses/{license_id}").json()["state"] == "revoked"
        assert post(office, seat, f"/v1/proposals/{proposal}/approve")[0] == 422

    def test_a_license_is_issued_when_the_second_agrees(self, office: Office, anna: Person) -> None:
        a_contract(office)
        order = LicenseOrder(customer_id="kanal", contract_id="kanal-1", days=365)
        with office.database.transaction() as session:
            draft = draft_new(session, order, keyring=office.keyring, at=office.clock())
            proposal = license_proposals.propose(session, draft, occasion=an_occasion()).id
        decided = post(office, at_a_browser(office, anna), f"/v1/proposals/{proposal}/approve")[1]

        assert a_program(office).get(f"/v1/licenses/{decided['outcome']}").status_code == 200

    def test_nobody_approves_what_a_program_of_theirs_proposed(
        self, office: Office, anna: Person, bert: Person
    ) -> None:
        a_contract(office)
        document = json.dumps({"license_id": a_license(office)[0]})
        proposal = self.propose(office, kinds.REVOKE_LICENSE, document, human="person:anna@narrows.test")
        refused = post(office, at_a_browser(office, anna), f"/v1/proposals/{proposal}/approve")
        assert (refused[0], refused[1]["code"]) == (403, "approval_missing")

        assert post(office, at_a_browser(office, bert), f"/v1/proposals/{proposal}/approve")[0] == 200

    def test_no_program_approves_anything(self, office: Office) -> None:
        proposal = self.propose(office, kinds.REVOKE_LICENSE, "{}")

        assert a_program(office).post(f"/v1/proposals/{proposal}/approve").status_code == 403

    def test_who_may_not_do_it_may_not_approve_it(self, office: Office) -> None:
        finance = a_person(office, Role.FINANCE)
        proposal = self.propose(office, kinds.REVOKE_LICENSE, "{}")
        seat = at_a_browser(office, finance)

        assert post(office, seat, f"/v1/proposals/{proposal}/approve")[0] == 403
        assert post(office, seat, f"/v1/proposals/{proposal}/reject")[0] == 403

    def test_what_is_rejected_is_not_done(self, office: Office, anna: Person) -> None:
        a_contract(office)
        license_id, _ = a_license(office)
        proposal = self.propose(office, kinds.REVOKE_LICENSE, json.dumps({"license_id": license_id}))
        seat = at_a_browser(office, anna)
        assert post(office, seat, f"/v1/proposals/{proposal}/reject")[1]["decision"] == "rejected"

        assert post(office, seat, f"/v1/proposals/{proposal}/approve")[0] == 422
        assert a_program(office).items("/v1/proposals?undecided=true") == []
        assert len(a_program(office).items("/v1/proposals")) == 1

    def test_a_role_takes_two_where_two_are_asked_for(self, office: Office, anna: Person, bert: Person) -> None:
        object.__setattr__(office.settings, "is_two_person", True)
        seat = at_a_browser(office, anna)
        changed = post(office, seat, f"/v1/people/{bert.id}/role", {"role": "auditor"})[1]
        assert changed["person"]["role"] == "owner"  # type: ignore[index]
        path = f"/v1/proposals/{changed['proposal_id']}/approve"
        assert post(office, seat, path)[0] == 403
        assert post(office, at_a_browser(office, bert), path)[0] == 200
        with office.database.snapshot() as session:
            assert service.require_person(session, bert.id).role == "auditor"


def test_the_first_owner_is_made_at_the_command_line(office: Office) -> None:
    runner = CliRunner(env={"NARROWS_SERVER_HOME": str(office.settings.home)})
    invited = runner.invoke(
        commands_app, ["person", "invite", "Anna@narrows.test", "--name", "Anna", "--role", "owner", "--json"]
    )
    assert invited.exit_code == 0, invited.output
    link = json.loads(invited.stdout)["invitation"]
    assert link.startswith("/invitation?token=")
    assert "invited" in runner.invoke(commands_app, ["person", "list"]).stdout
    assert runner.invoke(commands_app, ["person", "disable", "anna@narrows.test"]).exit_code == 2
    for command in ("reset", "end-sessions"):
        assert runner.invoke(commands_app, ["person", command, "anna@narrows.test"]).exit_code == 0
    assert runner.invoke(commands_app, ["person", "reset", "nobody@narrows.test"]).exit_code == 1
    assert runner.invoke(commands_app, ["audit", "verify"]).exit_code == 0
