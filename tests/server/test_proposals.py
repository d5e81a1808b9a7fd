"""Two people for a license, renewals, transfers and suspensions: what the customer's machine makes of each."""

from __future__ import annotations

from datetime import timedelta

import pytest
from narrows_licensing.binding import UNBOUND, Applications
from narrows_licensing.document import OpenedFile, open_file
from narrows_licensing.license import Kind
from narrows_licensing.memory import NOTHING, Known
from narrows_licensing.policy import Circumstances, evaluate
from narrows_licensing.revocation import Status
from narrows_licensing.verdict import Granted, Reason, Refused
from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.errors import ApprovalMissing, Invalid, NotFound
from narrows_server.licenses import proposals, repository, service
from narrows_server.licenses.drafts import Draft, LicenseOrder, draft_new, draft_renewal, draft_transfer
from narrows_server.office import Office
from narrows_server.proposals.service import list_undecided

from .builders import Clock, a_contract, a_license, an_occasion
from .test_licenses import file_of

ORDER = LicenseOrder(customer_id="kanal", contract_id="kanal-1")
ANNA, BERT = "admin:anna", "admin:bert"


def opened(office: Office, license_id: str, known: Known = NOTHING) -> OpenedFile:
    text = file_of(office, license_id)
    found = open_file(text, roots=office.keyring.roots, at=office.clock(), known=known)
    assert isinstance(found, OpenedFile)
    return found


def verdict(office: Office, found: OpenedFile) -> Granted | Refused:
    return evaluate(found.license, Circumstances(now=office.clock(), status=found.status))


class TestTwoPeople:
    def propose(self, office: Office, order: LicenseOrder = ORDER, *, by: str = ANNA) -> str:
        with office.database.transaction() as session:
            draft = draft_new(session, order, keyring=office.keyring, at=office.clock())
            occasion = Occasion(actor=by, at=office.clock())
            return proposals.propose(session, draft, occasion=occasion).id

    def approve(self, office: Office, proposal_id: str, *, by: str) -> str:
        with office.database.transaction() as session:
            occasion = Occasion(actor=by, at=office.clock())
            return proposals.approve(session, proposal_id, keyring=office.keyring, occasion=occasion).id

    def test_what_one_proposes_another_approves_and_both_are_in_the_trail(self, office: Office, clock: Clock) -> None:
        a_contract(office)
        proposal_id = self.propose(office)
        with office.database.snapshot() as session:
            assert repository.list_licenses(session) == []
            assert [waiting.id for waiting in list_undecided(session)] == [proposal_id]
        clock.advance(days=2)
        license_id = self.approve(office, proposal_id, by=BERT)

        assert isinstance(verdict(office, opened(office, license_id)), Granted)
        assert opened(office, license_id).license.issued_at == clock.at
        with office.database.snapshot() as session:
            trail = {(row.action, row.actor) for row in audit.trail(session)}
            assert {("license.proposed", ANNA), ("license.issued", BERT), ("license.approved", BERT)} <= trail
            assert list_undecided(session) == []

    def test_nobody_approves_what_they_proposed_themselves(self, office: Office) -> None:
        a_contract(office)
        proposal_id = self.propose(office)

        with pytest.raises(ApprovalMissing, match=ANNA):
            self.approve(office, proposal_id, by=ANNA)
        with office.database.snapshot() as session:
            assert repository.list_licenses(session) == []

    def test_a_proposal_is_approved_once(self, office: Office) -> None:
        a_contract(office)
        proposal_id = self.propose(office)
        self.approve(office, proposal_id, by=BERT)

        with pytest.raises(Invalid, match="approved already"):
            self.approve(office, proposal_id, by=BERT)
        with pytest.raises(NotFound):
            self.approve(office, "prp_nobody", by=BERT)

    def test_a_proposal_that_waited_until_its_license_would_have_ended_is_void(
        self, office: Office, clock: Clock
    ) -> None:
        a_contract(office)
        proposal_id = self.propose(office, LicenseOrder(customer_id="kanal", contract_id="kanal-1", days=3))
        clock.advance(days=3)

        with pytest.raises(Invalid, match="would have ended"):
            self.approve(office, proposal_id, by=BERT)

    def test_what_was_proposed_comes_back_from_its_row(self, office: Office) -> None:
        a_contract(office)
        with office.database.snapshot() as session:
            draft = draft_new(session, ORDER, keyring=office.keyring, at=office.clock())

        assert Draft.from_json(draft.to_json()) == draft


class TestLife:
    def settle(self, office: Office, draft: Draft) -> str:
        with office.database.transaction() as session:
            occasion = an_occasion(office.clock())
            return service.issue_draft(session, draft, keyring=office.keyring, occasion=occasion).id

    def test_a_renewal_goes_on_where_the_license_ends_and_the_old_one_works_until_then(
        self, office: Office, clock: Clock
    ) -> None:
        a_contract(office)
        first, _ = a_license(office, days=30)
        clock.advance(days=10)
        with office.database.snapshot() as session:
            issued = service.require_license(session, first)
            draft = draft_renewal(issued, days=365, keyring=office.keyring, at=clock.at)
        second = self.settle(office, draft)

        assert opened(office, second).license.expires_at == clock.at + timedelta(days=20 + 365)
        assert isinstance(verdict(office, opened(office, first)), Granted)

    def test_a_renewal_after_the_end_begins_now(self, office: Office, clock: Clock) -> None:
        a_contract(office)
        first, _ = a_license(office, days=30)
        clock.advance(days=100)
        with office.database.snapshot() as session:
            issued = service.require_license(session, first)
            draft = draft_renewal(issued, days=30, keyring=office.keyring, at=clock.at)

        assert draft.license.expires_at == clock.at + timedelta(days=30)

    def test_a_transfer_moves_the_license_and_revokes_the_old_one(self, office: Office) -> None:
        a_contract(office)
        first, _ = a_license(office)
        binding = Applications(ids=("com.example.player",))
        with office.database.snapshot() as session:
            issued = service.require_license(session, first)
            draft = draft_transfer(issued, binding=binding, keyring=office.keyring, at=office.clock())
        second = self.settle(office, draft)

        moved, old = opened(office, second), opened(office, first)
        assert moved.license.binding == binding
        assert moved.license.expires_at == old.license.expires_at
        assert (moved.status, old.status) == (Status.GOOD, Status.REVOKED)

    def test_a_revoked_license_is_neither_renewed_nor_moved_nor_reinstated(self, office: Office) -> None:
        a_contract(office)
        first, _ = a_license(office)
        with office.database.transaction() as session:
            issued = service.revoke(session, first, keyring=office.keyring, occasion=an_occasion())
            with pytest.raises(Invalid, match="revoked"):
                draft_renewal(issued, days=1, keyring=office.keyring, at=office.clock())
            with pytest.raises(Invalid, match="revoked"):
                draft_transfer(issued, binding=UNBOUND, keyring=office.keyring, at=office.clock())
            with pytest.raises(Invalid, match="revoked"):
                service.reinstate(session, first, keyring=office.keyring, occasion=an_occasion())
            with pytest.raises(Invalid, match="revoked"):
                service.suspend(session, first, keyring=office.keyring, occasion=an_occasion())

    def test_a_suspension_reaches_the_customer_with_the_next_file_and_so_does_its_end(self, office: Office) -> None:
        a_contract(office)
        license_id, _ = a_license(office)
        with office.database.transaction() as session:
            service.suspend(session, license_id, keyring=office.keyring, occasion=an_occasion())
        suspended = opened(office, license_id)
        refused = verdict(office, suspended)
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.SUSPENDED
        with office.database.transaction() as session:
            service.reinstate(session, license_id, keyring=office.keyring, occasion=an_occasion())

        assert isinstance(verdict(office, opened(office, license_id, suspended.known)), Granted)

    def test_a_trial_lasts_a_quarter_at_most(self, office: Office) -> None:
        a_contract(office)
        order = LicenseOrder(customer_id="kanal", contract_id="kanal-1", kind=Kind.TRIAL, days=91)
        with office.database.snapshot() as session, pytest.raises(Invalid, match="1 to 90 days"):
            draft_new(session, order, keyring=office.keyring, at=office.clock())

    def test_every_license_has_a_number_of_its_own(self, office: Office) -> None:
        a_contract(office)
        numbers = [opened(office, a_license(office)[0]).license.status_index for _ in range(4)]

        assert numbers == [0, 1, 2, 3]
