"""Taking in reports: every record once, in order, or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from narrows_licensing.development import DEVELOPMENT_KEY, development_license
from narrows_licensing.signature import Typ, sign
from narrows_metering.chain import merkle_root
from narrows_metering.record import Kind, Record
from narrows_metering.report import sign_report
from narrows_metering.testing import GB, a_delivery, some_records
from narrows_server.app import create_app
from narrows_server.licenses import service as licenses
from narrows_server.licenses.repository import list_licenses
from narrows_server.office import Office
from narrows_server.usage import repository
from narrows_server.usage.models import Fork, IssuedReceipt, StoredRecord
from sqlalchemy import event, func, select

from .builders import (
    Browser,
    Clock,
    FailingAfter,
    PowerCut,
    Site,
    a_contract,
    a_license,
    a_report,
    a_site,
    an_occasion,
    send,
    some_usage,
)


def stored(office: Office) -> list[tuple[str, int]]:
    with office.database.snapshot() as session:
        query = select(StoredRecord.installation_id, StoredRecord.seq).order_by(StoredRecord.seq)
        return [(row.installation_id, row.seq) for row in session.execute(query)]


def delivered_bytes(office: Office) -> int:
    with office.database.snapshot() as session:
        return sum(overview.installation.delivered_bytes for overview in repository.overviews(session))


def deliveries(site: Site, count: int, *, delivered: int = GB) -> list[Record]:
    """A chain of *count* deliveries of this installation."""
    entries = [(Kind.DELIVERY, a_delivery(delivered=delivered, source_digest=f"file {n}")) for n in range(count)]
    return some_records(entries, installation_id=site.installation_id)


def forked(site: Site, *, common: int, own: int) -> tuple[list[Record], list[Record]]:
    """Two histories of one installation that have their first *common* records in common and *own* more each."""
    histories = []
    for name in ("mine", "theirs"):
        shared = [(Kind.DELIVERY, a_delivery(source_digest=f"file {n}")) for n in range(common)]
        rest = [(Kind.DELIVERY, a_delivery(source_digest=f"{name} {n}")) for n in range(own)]
        histories.append(some_records(shared + rest, installation_id=site.installation_id))
    return histories[0], histories[1]


def continuation(site: Site, previous_id: str) -> list[Record]:
    """The ledger of a machine that was told to take a new name after record 3 of the old one."""
    beginning = {"event": "reidentified", "previous_installation": previous_id, "previous_seq": 3}
    entries = [(Kind.LIFECYCLE, beginning), (Kind.DELIVERY, a_delivery(source_digest="the fourth"))]
    return some_records(entries, installation_id=site.installation_id)


class TestReceipts:
    def test_a_receipt_names_every_record_of_the_report(self, office: Office, browser: Browser, site: Site) -> None:
        records = deliveries(site, 4)
        receipt = site.open_receipt(send(browser, a_report(site, records)).json()["receipt"], office)

        assert (receipt.first_seq, receipt.last_seq) == (1, 4)
        assert receipt.head_hash == records[-1].hash
        assert receipt.merkle_root == merkle_root([record.hash for record in records])
        assert receipt.time == office.clock()

    def test_the_same_report_gets_the_same_receipt_and_counts_once(
        self, office: Office, clock: Clock, browser: Browser, site: Site
    ) -> None:
        report = a_report(site, deliveries(site, 3))
        first = send(browser, report)
        clock.advance(days=2)

        assert send(browser, report).json() == first.json()
        assert delivered_bytes(office) == 3 * GB

    def test_a_report_that_overlaps_a_known_one_adds_only_what_is_new(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        records = deliveries(site, 6)
        send(browser, a_report(site, records[:4]))

        assert send(browser, a_report(site, records[2:])).status_code == 200
        assert [seq for _, seq in stored(office)] == [1, 2, 3, 4, 5, 6]

    def test_a_part_of_what_is_known_gets_a_receipt_too(self, office: Office, browser: Browser, site: Site) -> None:
        records = deliveries(site, 5)
        send(browser, a_report(site, records))

        assert send(browser, a_report(site, records[1:3])).status_code == 200
        assert delivered_bytes(office) == 5 * GB

    @settings(
        max_examples=10,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(st.lists(st.tuples(st.integers(0, 11), st.integers(1, 12)), max_size=10))
    def test_whatever_the_order_every_record_counts_once(
        self, office: Office, browser: Browser, tmp_path: Path, runs: list[tuple[int, int]]
    ) -> None:
        with office.database.snapshot() as session:
            has_contract = list_licenses(session)
        if not has_contract:
            a_contract(office)
        site = Site(folder=tmp_path, license_token=a_license(office)[1])
        records = deliveries(site, 12)
        for first, length in runs:
            if records[first : first + length]:
                send(browser, a_report(site, records[first : first + length]))
        send(browser, a_report(site, records))

        assert sorted(seq for owner, seq in stored(office) if owner == site.installation_id) == list(range(1, 13))

    def test_reports_that_arrive_at_once_count_once(self, office: Office, site: Site) -> None:
        report = a_report(site, deliveries(site, 20))
        app = create_app(office)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: send(Browser(app), report), range(16)))

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["receipt"] for answer in answers}) == 1
        assert delivered_bytes(office) == 20 * GB


class TestPowerCuts:
    def test_an_intake_that_fails_after_any_statement_of_sql_leaves_nothing_and_can_be_repeated(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        report = a_report(site, deliveries(site, 3))
        failures = 0
        while True:
            with FailingAfter(office.database, failures) as fault:
                try:
                    answer = send(browser, report)
                except PowerCut:
                    pass
                else:
                    break
            assert fault.has_struck
            assert stored(office) == [], f"after {failures} statements"
            failures += 1

        assert failures > 5
        assert send(browser, report).json() == answer.json()
        assert delivered_bytes(office) == 3 * GB

    def test_no_receipt_leaves_the_house_before_the_commit(self, office: Office, browser: Browser, site: Site) -> None:
        def cut(_: object) -> None:
            raise PowerCut

        event.listen(office.database.engine, "commit", cut)
        with pytest.raises(PowerCut):
            send(browser, a_report(site, deliveries(site, 3)))
        event.remove(office.database.engine, "commit", cut)

        assert stored(office) == []


class TestContradictions:
    def test_other_content_under_a_known_number_is_a_conflict_that_changes_no_total(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        send(browser, a_report(site, deliveries(site, 3)))
        answer = send(browser, a_report(site, deliveries(site, 3, delivered=2 * GB)))

        assert answer.status_code == 409
        assert answer.json() | {"code": "conflict", "seq": 1} == answer.json()
        assert delivered_bytes(office) == 3 * GB

    def test_a_fork_right_after_the_last_known_record_is_a_conflict(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        send(browser, a_report(site, deliveries(site, 3)))
        other = deliveries(site, 4, delivered=2 * GB)

        answer = send(browser, a_report(site, other[3:]))
        assert (answer.json()["code"], answer.json()["seq"]) == ("conflict", 4)

    def test_a_fork_is_kept_aside_once_however_often_it_is_sent(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        send(browser, a_report(site, deliveries(site, 3)))
        fork = a_report(site, deliveries(site, 3, delivered=2 * GB))
        for _ in range(3):
            send(browser, fork)

        with office.database.snapshot() as session:
            assert session.scalar(select(func.count()).select_from(Fork)) == 1

    def test_a_fork_does_not_stop_the_installation(self, office: Office, browser: Browser, site: Site) -> None:
        records = deliveries(site, 5)
        send(browser, a_report(site, records[:3]))
        send(browser, a_report(site, deliveries(site, 3, delivered=2 * GB)))

        assert send(browser, a_report(site, records[3:])).status_code == 200

    def test_a_gap_names_the_record_that_is_expected(self, office: Office, browser: Browser, site: Site) -> None:
        records = deliveries(site, 6)
        send(browser, a_report(site, records[:2]))
        answer = send(browser, a_report(site, records[4:]))

        assert (answer.status_code, answer.json()["code"], answer.json()["expected_seq"]) == (409, "gap", 3)
        assert len(stored(office)) == 2

    def test_a_first_report_that_begins_late_enrols_nobody(self, office: Office, browser: Browser, site: Site) -> None:
        answer = send(browser, a_report(site, deliveries(site, 3)[1:]))

        assert (answer.json()["code"], answer.json()["expected_seq"]) == ("gap", 1)
        with office.database.snapshot() as session:
            assert repository.list_installations(session) == []


class TestFindingTheFirstContradiction:
    """A client forks from the number that it is told: one too late, and a record would be billed nowhere."""

    def test_a_report_of_which_even_the_beginning_is_unknown_to_us_is_asked_to_go_back(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        send(browser, a_report(site, deliveries(site, 3)))
        other = deliveries(site, 5, delivered=2 * GB)

        answer = send(browser, a_report(site, other[3:])).json()
        assert (answer["code"], answer["seq"], answer["expected_seq"]) == ("conflict", 4, 1)
        answer = send(browser, a_report(site, other)).json()
        assert (answer["code"], answer["seq"]) == ("conflict", 1)
        assert "expected_seq" not in answer

    def test_within_what_is_known_the_first_contradiction_is_named_at_once(self, browser: Browser, site: Site) -> None:
        mine, theirs = forked(site, common=3, own=3)
        send(browser, a_report(site, mine))

        for first in (0, 2, 3):
            answer = send(browser, a_report(site, theirs[first:])).json()
            assert (answer["code"], answer["seq"]) == ("conflict", 4)
            assert "expected_seq" not in answer

    def test_a_report_that_begins_behind_the_fork_is_asked_to_go_back(self, browser: Browser, site: Site) -> None:
        mine, theirs = forked(site, common=3, own=4)
        send(browser, a_report(site, mine))
        answer = send(browser, a_report(site, theirs[5:])).json()

        assert (answer["code"], answer["seq"], answer["expected_seq"]) == ("conflict", 6, 1)

    def test_a_clone_that_was_acknowledged_by_a_server_since_restored_loses_nothing(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        """The server holds 1..6 and its clone's 7; the original, acknowledged up to 7 long ago, reports 8."""
        mine, theirs = forked(site, common=6, own=2)
        send(browser, a_report(site, theirs[:7]))

        answer = send(browser, a_report(site, mine[7:])).json()
        back = answer["expected_seq"] - 1
        assert send(browser, a_report(site, mine[back:])).json()["seq"] == 7


class TestGaps:
    def test_a_gap_is_named_until_it_is_filled(self, admin: Browser, browser: Browser, site: Site) -> None:
        records = deliveries(site, 6)
        send(browser, a_report(site, records[:2]))
        answer = send(browser, a_report(site, records[4:])).json()

        assert (answer["complete_to"], answer["missing_first"], answer["missing_last"]) == (2, 3, 4)
        (item,) = admin.get("/v1/installations").json()["items"]
        assert item["standing"] == "incomplete"
        gap = item["gap"]
        assert (gap["complete_to"], gap["missing_first"], gap["missing_last"]) == (2, 3, 4)

        send(browser, a_report(site, records[2:3]))
        (item,) = admin.get("/v1/installations").json()["items"]
        assert (item["gap"]["complete_to"], item["gap"]["missing_first"], item["gap"]["missing_last"]) == (3, 4, 4)

        send(browser, a_report(site, records[3:]))
        (item,) = admin.get("/v1/installations").json()["items"]
        assert (item["gap"], item["standing"], item["records"]) == (None, "reporting", 6)

    def test_a_later_report_can_only_make_a_gap_longer(self, admin: Browser, browser: Browser, site: Site) -> None:
        records = deliveries(site, 8)
        for first in (4, 6, 2):
            send(browser, a_report(site, records[first:]))

        (gap,) = admin.get("/v1/installations").json()["gaps"]
        assert (gap["complete_to"], gap["missing_first"], gap["missing_last"]) == (0, 1, 6)

    def test_a_gap_of_an_installation_that_is_not_known_yet_is_shown_too(
        self, admin: Browser, browser: Browser, site: Site
    ) -> None:
        send(browser, a_report(site, deliveries(site, 3)[2:]))
        answer = admin.get("/v1/installations").json()

        assert answer["items"] == []
        assert [gap["installation_id"] for gap in answer["gaps"]] == [site.installation_id]


class TestReidentifiedInstallations:
    def test_a_ledger_that_continues_another_is_linked_to_it(
        self, office: Office, admin: Browser, browser: Browser, site: Site, tmp_path: Path
    ) -> None:
        successor = a_site(office, tmp_path / "successor")
        # In the order of a rebuild, in which nobody says who comes first.
        send(browser, a_report(successor, continuation(successor, site.installation_id)))
        send(browser, a_report(site, deliveries(site, 3)))

        items = {item["id"]: item for item in admin.get("/v1/installations").json()["items"]}
        new, old = items[successor.installation_id], items[site.installation_id]
        assert (new["forked_from"], new["forked_at_seq"]) == (site.installation_id, 3)
        assert (old["continued_as"], old["standing"]) == (successor.installation_id, "replaced")

    def test_nobody_can_claim_to_continue_what_another_customer_owns(
        self, office: Office, admin: Browser, browser: Browser, site: Site, tmp_path: Path
    ) -> None:
        a_contract(office, customer_id="other", contract_id="other-1")
        stranger = a_site(office, tmp_path / "stranger", customer_id="other", contract_id="other-1")
        send(browser, a_report(site, deliveries(site, 3)))
        send(browser, a_report(stranger, continuation(stranger, site.installation_id)))

        items = {item["id"]: item for item in admin.get("/v1/installations").json()["items"]}
        assert items[stranger.installation_id]["forked_from"] is None
        assert items[site.installation_id]["continued_as"] is None

    @pytest.mark.parametrize(
        "payload",
        [
            {"event": "enrolled"},
            {"event": "reidentified"},
            {"event": "reidentified", "previous_installation": 5, "previous_seq": 3},
            {"event": "reidentified", "previous_installation": "x", "previous_seq": 3},
            {"event": "reidentified", "previous_installation": "x" * 43, "previous_seq": "3"},
        ],
    )
    def test_a_first_record_that_names_no_predecessor_is_taken_all_the_same(
        self, browser: Browser, site: Site, payload: dict[str, object]
    ) -> None:
        records = some_records([(Kind.LIFECYCLE, payload)], installation_id=site.installation_id)

        assert send(browser, a_report(site, records)).status_code == 200


class TestTrust:
    def test_a_body_that_is_no_report_is_refused_as_unreadable(self, browser: Browser) -> None:
        answer = browser.post("/v1/reports", b"not a report", Narrows_Signature="e30..AAAA")

        assert (answer.status_code, answer.json()["code"]) == (400, "report_unreadable")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]

    def test_a_report_without_its_signature_is_refused(self, browser: Browser, site: Site) -> None:
        body, _ = a_report(site, deliveries(site, 1))

        assert browser.post("/v1/reports", body).json()["code"] == "report_refused"

    def test_a_report_signed_by_another_key_is_refused(self, office: Office, browser: Browser, site: Site) -> None:
        body, _ = a_report(site, deliveries(site, 1))
        answer = send(browser, (body, sign_report(body, Ed25519PrivateKey.generate())))

        assert (answer.status_code, answer.json()["code"]) == (422, "report_refused")
        assert stored(office) == []

    def test_a_body_larger_than_any_report_is_refused(self, browser: Browser) -> None:
        answer = browser.post("/v1/reports", bytes(9 * 2**20), Narrows_Signature="e30..AAAA")

        assert (answer.status_code, answer.json()["code"]) == (413, "report_too_large")

    def test_usage_under_the_public_development_license_is_not_taken(self, browser: Browser, site: Site) -> None:
        token = sign(development_license(Clock().at).claims(), typ=Typ.LICENSE, key=DEVELOPMENT_KEY)

        answer = send(browser, a_report(site, deliveries(site, 1), license_token=token))
        assert (answer.status_code, answer.json()["code"]) == (422, "report_refused")

    def test_an_installation_stays_with_its_contract(
        self, office: Office, browser: Browser, site: Site, tmp_path: Path
    ) -> None:
        a_contract(office, customer_id="other", contract_id="other-1")
        records = deliveries(site, 2)
        send(browser, a_report(site, records[:1]))
        foreign = a_license(office, customer_id="other", contract_id="other-1")[1]

        answer = send(browser, a_report(site, records[1:], license_token=foreign))
        assert answer.status_code == 422
        assert "belongs to contract kanal-1" in answer.json()["detail"]

    def test_usage_under_an_expired_and_revoked_license_still_counts(
        self, office: Office, clock: Clock, browser: Browser, tmp_path: Path
    ) -> None:
        a_contract(office)
        license_id, token = a_license(office, days=1)
        site = Site(folder=tmp_path, license_token=token)
        clock.advance(days=100)
        with office.database.transaction() as session:
            licenses.revoke(session, license_id, keyring=office.keyring, occasion=an_occasion(clock.at))

        assert send(browser, a_report(site, deliveries(site, 2))).status_code == 200

    def test_a_report_that_is_refused_leaves_no_trace(self, office: Office, browser: Browser, site: Site) -> None:
        body, signature = a_report(site, deliveries(site, 2))
        broken = bytearray(body)
        broken[len(broken) // 2] ^= 1
        assert send(browser, (bytes(broken), signature)).status_code in {400, 422}

        with office.database.snapshot() as session:
            assert session.scalar(select(func.count()).select_from(IssuedReceipt)) == 0


class TestListing:
    def test_an_installation_is_listed_with_its_usage(self, admin: Browser, browser: Browser, site: Site) -> None:
        site.record(*some_usage(delivered=5 * GB))
        send(browser, site.report())

        (item,) = admin.get("/v1/installations").json()["items"]
        assert item["id"] == site.installation_id
        assert (item["records"], item["encodes"], item["delivered_bytes"], item["forks"]) == (3, 1, 5 * GB, 0)

    def test_two_installations_of_one_customer_do_not_mix(
        self, office: Office, admin: Browser, browser: Browser, site: Site, tmp_path: Path
    ) -> None:
        second = a_site(office, tmp_path / "second")
        send(browser, a_report(site, deliveries(site, 1)))
        send(browser, a_report(second, deliveries(second, 2)))

        items = {item["id"]: item["records"] for item in admin.get("/v1/installations").json()["items"]}
        assert items == {site.installation_id: 1, second.installation_id: 2}
