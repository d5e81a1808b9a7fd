"""Alerts: what is found, opened once, acknowledged by somebody, closed by itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.record import Kind
from narrows_metering.terms import Period
from narrows_metering.testing import GB, a_delivery, an_encode, an_evidence, some_records
from narrows_server import schema
from narrows_server.access.roles import Role
from narrows_server.alerts import limits, repository, rules, service
from narrows_server.alerts.rules import Cause, Finding, Month
from narrows_server.app import create_app
from narrows_server.cli import app as commands_app
from narrows_server.contracts.service import require_contract
from narrows_server.database import Database
from narrows_server.licenses.drafts import draft_renewal
from narrows_server.licenses.models import IssuedLicense
from narrows_server.licenses.service import issue_draft, require_license
from narrows_server.office import Office
from narrows_server.statements import service as statements
from narrows_server.statements.closing import Result
from narrows_server.usage.models import Installation, OpenGap
from typer.testing import CliRunner

from .api import a_program
from .builders import NOW, Browser, Clock, Site, a_contract, a_license, a_report, an_occasion, send, some_usage
from .postgres import Postgres


def an_installation(*, reported_at: datetime = NOW, name: str = "i1") -> Installation:
    return Installation(id=name, customer_id="kanal", reported_at=reported_at, head_seq=4711)


def months(*shares: int, saved: Sequence[int] | None = None, currency: str = "EUR") -> list[Month]:
    """Months of one contract in their order; each saves 20 % unless it is said otherwise."""
    return [
        Month(
            contract_id="kanal-1",
            customer_id="kanal",
            period=f"2026-{number:02}",
            drawn_up_at=NOW,
            currency=currency,
            share_minor=share,
            saved_bytes=(saved or [200] * len(shares))[number - 1],
            baseline_bytes=1000,
        )
        for number, share in enumerate(shares, start=1)
    ]


def a_row(*, expires_in: timedelta, revoked: bool = False, grace_days: int = 14) -> IssuedLicense:
    return IssuedLicense(
        id="lic_1",
        customer_id="kanal",
        expires_at=NOW + expires_in,
        revoked_at=NOW if revoked else None,
        grace_days=grace_days,
    )


class TestRules:
    @pytest.mark.parametrize(("hours", "found"), [(0, 0), (23, 0), (24, 1), (999, 1)])
    def test_an_installation_is_silent_after_a_day(self, hours: int, found: int) -> None:
        silences = rules.silences([an_installation()], excused=(), at=NOW + timedelta(hours=hours))

        assert len(silences) == found

    def test_one_that_another_continues_or_that_has_a_gap_is_not_silent_as_well(self) -> None:
        at = NOW + timedelta(days=2)

        assert rules.silences([an_installation()], excused={"i1"}, at=at) == []

    def test_a_gap_says_what_is_missing(self) -> None:
        gap = OpenGap(installation_id="i1", customer_id="kanal", contract_id="c", last_missing=9, seen_at=NOW)

        assert rules.gaps([gap], {"i1": 6})[0].detail == "complete to 6, missing 7–9"
        assert rules.gaps([gap], {})[0].detail == "complete to 0, missing 1–9"

    @pytest.mark.parametrize(
        ("expires_in", "found"),
        [
            (timedelta(days=31), 0),
            (timedelta(days=30), 1),
            (timedelta(0), 1),
            (timedelta(days=-13), 1),
            (timedelta(days=-14), 0),
        ],
    )
    def test_a_license_expires_soon_or_is_in_its_grace(self, expires_in: timedelta, found: int) -> None:
        assert len(rules.expiries([a_row(expires_in=expires_in)], renewed=(), at=NOW)) == found

    def test_one_that_was_renewed_or_revoked_does_not(self) -> None:
        soon = timedelta(days=3)

        assert rules.expiries([a_row(expires_in=soon)], renewed={"lic_1"}, at=NOW) == []
        assert rules.expiries([a_row(expires_in=soon, revoked=True)], renewed=(), at=NOW) == []

    @pytest.mark.parametrize(
        ("shares", "found"),
        [
            ((), 0),
            ((100, 999), 0),
            ((100, 100, 150), 0),
            ((100, 100, 151), 1),
            ((1, 100, 100, 100, 151), 1),
            ((0, 0, 999), 0),
            ((100, 100, 0), 0),
        ],
    )
    def test_a_month_that_costs_half_as_much_again(self, shares: tuple[int, ...], found: int) -> None:
        assert len(rules.spends(months(*shares))) == found

    def test_months_in_another_currency_are_not_compared(self) -> None:
        assert rules.spends([*months(1, 1, currency="SEK"), *months(0, 0, 999)[2:]]) == []

    @pytest.mark.parametrize(
        ("saved", "found"), [((200, 200, 250), 0), ((200, 200, 251), 1), ((200, 200, 149), 1), ((200, 149), 0)]
    )
    def test_a_month_that_saves_much_more_or_less(self, saved: tuple[int, ...], found: int) -> None:
        assert len(rules.drifts(months(*([100] * len(saved)), saved=saved))) == found

    @given(st.permutations(months(100, 100, 100, 100, 999)))
    def test_the_order_of_the_rows_does_not_matter(self, rows: list[Month]) -> None:
        assert rules.spends(rows) == rules.spends(months(100, 100, 100, 100, 999))

    @given(st.lists(st.integers(0, 10**15), max_size=6))
    def test_no_row_makes_a_rule_stumble(self, shares: list[int]) -> None:
        rows = months(*shares, saved=[share % 1000 for share in shares])
        assert len(rules.spends(rows)) <= 1
        assert len(rules.drifts(rows)) <= 1


def a_finding(cause: Cause = Cause.SILENT, subject: str = "i1", detail: str = "nothing new") -> Finding:
    return Finding(cause=cause, subject=subject, customer_id="kanal", detail=detail, since=NOW)


class TestKeepingTrack:
    @pytest.fixture(autouse=True)
    def _customer(self, office: Office) -> None:
        a_contract(office)

    def look(self, office: Office, *findings: Finding) -> tuple[int, int]:
        with office.database.transaction() as session:
            changed = service.reconcile(session, findings, occasion=an_occasion(office.clock()))
        return len(changed.opened), len(changed.closed)

    def test_an_alert_is_opened_once_and_closed_when_its_cause_is_gone(self, office: Office) -> None:
        assert self.look(office, a_finding()) == (1, 0)
        assert self.look(office, a_finding(detail="still nothing")) == (0, 0)
        assert self.look(office) == (0, 1)
        assert self.look(office) == (0, 0)
        assert self.look(office, a_finding()) == (1, 0)
        rows = a_program(office).items("/v1/alerts")

        assert [row["closed_at"] is None for row in sorted(rows, key=lambda row: row["closed_at"] is None)] == [
            False,
            True,
        ]

    def test_two_causes_of_one_thing_are_two_alerts(self, office: Office) -> None:
        assert self.look(office, a_finding(), a_finding(Cause.FORK)) == (2, 0)

    def test_of_those_of_one_moment_the_worst_comes_first_on_every_page(self, office: Office, clock: Clock) -> None:
        self.look(office, *(a_finding(cause, f"i{number}") for number in (2, 1, 3) for cause in reversed(Cause)))
        owner, ordered = a_program(office), [(cause, f"i{number}") for cause in Cause for number in (3, 2, 1)]
        for limit in (1, 2, 5, 18):
            assert [(row["cause"], row["subject"]) for row in owner.items(f"/v1/alerts?limit={limit}")] == ordered
        clock.advance(minutes=1)
        self.look(office, a_finding(Cause.SILENT, "i4"), *(a_finding(cause, subject) for cause, subject in ordered))
        with office.database.snapshot() as session:
            worst = repository.worst_alerts(session, count=7)

        assert owner.items("/v1/alerts")[0]["subject"] == "i4"
        assert [(one.cause, one.subject) for one in worst] == [*ordered[:6], (Cause.SILENT, "i4")]

    def test_who_acknowledges_is_remembered_and_it_stays_open(self, office: Office) -> None:
        self.look(office, a_finding())
        owner = a_program(office)
        (alert,) = owner.items("/v1/alerts?open=true")
        done = owner.post(f"/v1/alerts/{alert['id']}/acknowledge").json()
        assert done["acknowledged_by"] == "admin:test"
        assert self.look(office, a_finding()) == (0, 0)
        assert len(owner.items("/v1/alerts?open=true")) == 1
        self.look(office)

        assert owner.items("/v1/alerts?open=true") == []
        assert owner.post(f"/v1/alerts/{alert['id']}/acknowledge").status_code == 422

    def test_each_step_is_an_event(self, office: Office) -> None:
        owner = a_program(office)
        webhook = owner.post("/v1/webhooks", {"url": "https://hooks.test/"}).json()
        self.look(office, a_finding())
        owner.post(f"/v1/alerts/{owner.items('/v1/alerts')[0]['id']}/acknowledge")
        self.look(office)
        sent = owner.items(f"/v1/webhooks/{webhook['id']}/deliveries")

        assert {row["type"] for row in sent} == {"alert.opened", "alert.acknowledged", "alert.closed"}
        assert sent[0]["event"]["data"]["cause"] == "silent"

    def test_a_customer_sees_its_own_and_acknowledges_none(self, office: Office) -> None:
        a_contract(office, customer_id="other", contract_id="other-1")
        self.look(office, a_finding())
        own = a_program(office, Role.CUSTOMER, customer_id="kanal")
        (alert,) = own.items("/v1/alerts")

        assert a_program(office, Role.CUSTOMER, customer_id="other").items("/v1/alerts") == []
        assert own.post(f"/v1/alerts/{alert['id']}/acknowledge").status_code == 403


def test_of_two_workers_one_looks_around_and_the_other_leaves_it(postgres: Postgres) -> None:
    database = Database(postgres.fresh_database())
    schema.upgrade(database)
    with database.alone(service._LOCK) as is_alone:  # The other one is at it.
        assert is_alone
        assert not service.look_around(database, at=NOW)
    assert service.look_around(database, at=NOW)
    database.close()


def bill(
    office: Office, site: Site, clock: Clock, month: str, *, delivered: int = 800 * GB, ours: int = 800_000
) -> None:
    """Deliver a film in a month, and close it: our share is two euros unless it is said otherwise."""
    period = Period.from_text(month)
    clock.at = period.end - timedelta(days=1)
    site.record(
        (Kind.ENCODE, an_encode(month, asset=month)),
        (Kind.EVIDENCE, an_evidence(month, asset=month, ours=ours)),
        (Kind.DELIVERY, a_delivery(month, delivered=delivered, start=period.start)),
        at=clock.at,
    )
    receipt = send(Browser(create_app(office)), site.report()).json()["receipt"]
    site.acknowledge(receipt, office)
    clock.advance(days=12)
    with office.database.transaction() as session:
        assert statements.close(session, "kanal-1", period, occasion=an_occasion(clock.at)).result == Result.INVOICED


class TestLookingAround:
    def found(self, office: Office, *causes: Cause) -> set[tuple[str, str]]:
        """What there is to look at now; with *causes*, for these alone."""
        with office.database.snapshot() as session:
            findings = service.find(session, at=office.clock())
        return {(one.cause.value, one.subject) for one in findings if one.cause in (causes or Cause)}

    def test_silence_and_its_end(self, office: Office, site: Site, clock: Clock) -> None:
        site.record(*some_usage())
        send(Browser(create_app(office)), site.report())
        assert self.found(office) == set()
        clock.advance(hours=24)
        assert self.found(office) == {("silent", site.installation_id)}
        site.record(*some_usage())
        send(Browser(create_app(office)), site.report())

        assert self.found(office) == set()

    def test_a_fork(self, office: Office, site: Site, tmp_path: Path) -> None:
        clone = site.clone(tmp_path / "clone")
        site.record(*some_usage())
        clone.record(*some_usage(delivered=1))
        for one in (site, clone):
            send(Browser(create_app(office)), one.report())

        assert self.found(office) == {("fork", site.installation_id)}

    def test_a_gap_until_what_is_missing_arrives(self, office: Office, site: Site) -> None:
        records = some_records(some_usage(), installation_id=site.installation_id)
        send(Browser(create_app(office)), a_report(site, records[2:]))
        assert self.found(office) == {("gap", site.installation_id)}
        send(Browser(create_app(office)), a_report(site, records))

        assert self.found(office) == set()

    def test_a_month_over_its_limit_and_one_that_costs_much_more_than_those_before(
        self, office: Office, site: Site, clock: Clock
    ) -> None:
        bill(office, site, clock, "2026-11")
        assert self.found(office, Cause.SPEND) == set()
        for most, found in ((199, {("spend", "kanal-1")}), (None, set())):
            with office.database.transaction() as session:
                limits.set_limit(session, require_contract(session, "kanal-1"), most, occasion=an_occasion(clock.at))
            assert self.found(office, Cause.SPEND) == found
        bill(office, site, clock, "2026-12")
        assert self.found(office, Cause.SPEND) == set()
        bill(office, site, clock, "2027-01", delivered=1300 * GB)

        assert self.found(office, Cause.SPEND) == {("spend", "kanal-1")}

    def test_a_month_that_saves_much_less_than_those_before(self, office: Office, site: Site, clock: Clock) -> None:
        for month in ("2026-11", "2026-12"):
            bill(office, site, clock, month)
            assert self.found(office, Cause.DRIFT) == set()
        bill(office, site, clock, "2027-01", ours=900_000)

        assert self.found(office, Cause.DRIFT) == {("drift", "kanal-1")}

    def test_an_expiring_license_until_it_is_renewed(self, office: Office, clock: Clock) -> None:
        a_contract(office)
        license_id, _ = a_license(office, days=40)
        clock.advance(days=10)
        assert self.found(office) == {("expiring", license_id)}
        with office.database.transaction() as session:
            issued = require_license(session, license_id)
            draft = draft_renewal(issued, days=365, keyring=office.keyring, at=clock.at)
            issue_draft(session, draft, keyring=office.keyring, occasion=an_occasion(clock.at))

        assert self.found(office) == set()

    def test_the_command_line_shows_and_acknowledges(self, office: Office, clock: Clock) -> None:
        a_contract(office)
        clock.at -= timedelta(days=3)
        a_license(office, days=20)
        commands = CliRunner(env={"NARROWS_SERVER_HOME": str(office.settings.home)})
        checked = commands.invoke(commands_app, ["alert", "check", "--json"])
        assert checked.exit_code == 1, checked.output
        (alert,) = json.loads(checked.stdout)["opened"]
        assert commands.invoke(commands_app, ["alert", "acknowledge", alert["id"]]).exit_code == 0
        (shown,) = json.loads(commands.invoke(commands_app, ["alert", "list", "--json"]).stdout)

        assert shown["cause"] == "expiring"
        assert shown["acknowledged_by"].startswith("admin:")
        assert "expiring" in commands.invoke(commands_app, ["alert", "list"]).stdout
