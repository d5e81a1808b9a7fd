"""
Half a year of a vendor's life, through the services that the server itself calls.

The same day gives the same figures. Every report is signed, every month closed by the book; only the clock is turned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from narrows_metering.terms import Period
from narrows_server import audit
from narrows_server.access import api_keys
from narrows_server.access.roles import Action, Role
from narrows_server.alerts import service as alerts
from narrows_server.audit import Occasion
from narrows_server.contracts import service as contracts
from narrows_server.contracts.contract_document import ContractDocument
from narrows_server.contracts.reading import check_document
from narrows_server.contracts.tariff_document import TariffDocument
from narrows_server.customers import service as customers
from narrows_server.invoices import credit_notes
from narrows_server.invoices import repository as invoices
from narrows_server.licenses import proposals
from narrows_server.licenses import service as licenses
from narrows_server.licenses.drafts import LicenseOrder, draft_renewal
from narrows_server.office import Office, initialise, open_office
from narrows_server.parties import service as parties
from narrows_server.payments import service as payments
from narrows_server.people import passwords, second_factor
from narrows_server.people import service as people
from narrows_server.settings import Settings
from narrows_server.statements import life
from narrows_server.statements import service as statements
from sqlalchemy.orm import Session

from .machines import Machine
from .story import ALPINE, CLIENTS, NORDLICHT, PACIFIC, VENDOR, Client, deliveries, first_records

PASSWORD = "winter ferry copper lantern"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # Of everybody's authenticator app.
MONTHS = 6
STAFF = (
    (Role.OWNER, "Anna Berg", "owner@narrows.example"),
    (Role.LICENSE_ADMIN, "Tom Reuter", "license@narrows.example"),
    (Role.FINANCE, "Ines Kraft", "finance@narrows.example"),
    (Role.AUDITOR, "Paul Amsel", "auditor@narrows.example"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """How somebody of the demo signs in. The vendor's people show a second factor."""

    role: Role
    name: str
    email: str

    @property
    def has_factor(self) -> bool:
        return self.role is not Role.CUSTOMER


SIGN_INS = (
    *(SignIn(role=role, name=name, email=email) for role, name, email in STAFF),
    *(SignIn(role=Role.CUSTOMER, name=client.contact[0], email=client.contact[1]) for client in CLIENTS),
)


def seed(home: Path, *, now: datetime, environ: Mapping[str, str] = MappingProxyType({})) -> Settings:
    """Make a state folder with the whole story up to *now*; *environ* may name another database."""
    settings = Settings.read(environ, home=home)
    periods = _closed_months(now, MONTHS)
    begun = periods[0].start - timedelta(days=20)
    initialise(settings, VENDOR, clock=lambda: begun)
    with open_office(settings, clock=lambda: now) as office:
        _Story(office=office, now=now, periods=periods, begun=begun).tell()
    return settings


@dataclass(slots=True, kw_only=True)
class _Story:
    office: Office
    now: datetime
    periods: list[Period]
    begun: datetime
    machines: dict[str, list[Machine]] = field(default_factory=dict)
    expiring: str = ""
    hashed: str = ""  # Everybody has the same password here.

    def tell(self) -> None:
        self._hire()
        for client in CLIENTS:
            self._sign(client)
        for period in self.periods:
            for client in CLIENTS:
                if period in self._months_of(client):
                    self._deliver(client, period, until=period.end, at=period.end + timedelta(hours=1))
                    self._close(client, period)
        self._this_month()
        self._trouble()
        with self.office.database.transaction() as session:
            alerts.check(session, at=self.now)
        audit.link_all(self.office.database)

    def _hire(self) -> None:
        hashed = passwords.hash_password(PASSWORD)
        with self.office.database.transaction() as session:
            for role, name, email in STAFF:
                self._invite(session, hashed, role, name, email)
            api_keys.make(
                session,
                name="nightly export",
                scopes=frozenset({Action.INVOICES_READ, Action.BOOKS_READ}),
                human=f"person:{STAFF[2][2]}",
                occasion=self._by(STAFF[2][2], self.begun),
            )
        self.hashed = hashed

    def _sign(self, client: Client) -> None:
        months = self._months_of(client)
        start = months[0].start
        finance = self._by(STAFF[2][2], start - timedelta(days=9))
        with self.office.database.transaction() as session:
            customers.add_customer(session, client.party, customer_id=client.id, occasion=finance)
            session.flush()
            parties.set_profile(session, client.id, occasion=finance, **client.profile)
            priced = {"name": f"{client.party.name}, CDN", "currency": client.currency, "tiers": client.tiers}
            tariff = check_document(TariffDocument, priced, what="tariff")
            contracts.add_tariff(session, tariff, tariff_id=f"{client.id}-cdn", occasion=finance)
            members = {
                "customer": client.id,
                "currency": client.currency,
                "starts_on": start.date().isoformat(),
                "tariff": f"{client.id}-cdn",
                "baseline": "libx265-medium",
                "metric": "ms_ssim",
                "share": client.share,
                **client.terms,
            }
            document = check_document(ContractDocument, members, what="contract")
            contracts.add_contract(session, document, contract_id=client.contract_id, occasion=finance)
            self._invite(session, self.hashed, Role.CUSTOMER, *client.contact, customer_id=client.id)
        issued_at = start - timedelta(days=2)
        days = (self.now + timedelta(days=12) - issued_at).days if client is ALPINE else 365
        with self.office.database.transaction() as session:
            order = LicenseOrder(customer_id=client.id, contract_id=client.contract_id, days=days)
            keyring = self.office.keyring
            issued = licenses.issue(session, order, keyring=keyring, occasion=self._by(STAFF[1][2], issued_at))
            if client is ALPINE:
                self.expiring = issued.id
            self.machines[client.id] = [Machine(name, issued.token) for name in client.machines]
        self.machines[client.id][0].write(first_records(client), at=start + timedelta(hours=9))

    def _deliver(self, client: Client, period: Period, *, until: datetime, at: datetime) -> None:
        for place, machine in enumerate(self.machines[client.id]):
            written = list(deliveries(client, period, place, until=until))
            if written or len(machine.records) > machine.reported:
                machine.write(written, at=at - timedelta(minutes=30))
                machine.report(self.office, at=at)

    def _close(self, client: Client, period: Period) -> None:
        """Drawn up on the fourth and sent, answered by the customer, invoiced, paid."""
        is_latest, fourth = period == self.periods[-1], period.end + timedelta(days=3, hours=8)
        is_draft = is_latest and client is ALPINE
        self._run_close(client, period, at=fourth, sends=not is_draft)
        if is_draft:
            return
        answered = fourth + timedelta(days=1, hours=3)
        statement_id = f"{client.contract_id}.{period}"
        if is_latest and client is PACIFIC:
            reason = "surf-live: our CDN's log for the 16th shows 4 TB less than what you count"
            self._answer(client, statement_id, at=answered, reason=reason)
            return
        self._answer(client, statement_id, at=answered)
        self._run_close(client, period, at=answered + timedelta(hours=2))
        self._settle(client, period, answered + timedelta(hours=2))

    def _settle(self, client: Client, period: Period, issued_at: datetime) -> None:
        """Most pay in time. Pacific's last invoice but one is late; one of Nordlicht's was credited in part."""
        with self.office.database.transaction() as session:
            invoice = invoices.get_by_statement(session, f"{client.contract_id}.{period}")
            assert invoice is not None and invoice.number is not None
            if client is NORDLICHT and period == self.periods[-4]:
                parts = {1: 25_000}
                occasion = self._by(STAFF[2][2], issued_at + timedelta(days=6))
                reason = "Goodwill for the outage of the reporting endpoint on the 12th"
                credit_notes.credit(session, invoice.number, parts=parts, reason=reason, occasion=occasion)
            is_late = client is PACIFIC and period == self.periods[-2]
            paid_at = issued_at + timedelta(days=11)
            if is_late or paid_at > self.now or period == self.periods[-1]:
                return
            owed = payments.standing_of(session, invoice).receivable_minor
            if owed:
                receipt = payments.Receipt(
                    entity_id=invoice.entity_id,
                    customer_id=client.id,
                    currency=client.currency,
                    amount_minor=owed,
                    received_on=paid_at.date(),
                    reference=f"BANK-{invoice.number}",
                )
                payments.receive(session, receipt, numbers=[invoice.number], occasion=self._by(STAFF[2][2], paid_at))

    def _this_month(self) -> None:
        """What was delivered since; half of Alpine has been silent for some days."""
        following = _following(self.periods[-1])
        while following.start < self.now:
            for client in CLIENTS:
                until = min(following.end, self.now - timedelta(hours=3))
                if client is ALPINE:
                    until = min(until, self.now - timedelta(days=6))
                at = min(following.end + timedelta(hours=1), until + timedelta(hours=1))
                self._deliver(client, following, until=until, at=max(at, following.start + timedelta(minutes=40)))
            following = _following(following)
        for client, place in ((NORDLICHT, 0), (NORDLICHT, 1), (PACIFIC, 0), (ALPINE, 0)):
            machine = self.machines[client.id][place]
            machine.write(list(first_records(client))[:2], at=self.now - timedelta(hours=2))
            machine.report(self.office, at=self.now - timedelta(hours=1))

    def _trouble(self) -> None:
        """A gap, a fork, and a renewal that waits for a second person."""
        gap = self.machines[PACIFIC.id][1]
        gap.write(list(first_records(PACIFIC))[:8], at=self.now - timedelta(hours=5))
        gap.report_later(self.office, missing=5, at=self.now - timedelta(hours=4))
        first = self.machines[NORDLICHT.id][1]
        copy = first.copy()
        first.write(list(first_records(NORDLICHT))[:2], at=self.now - timedelta(minutes=50))
        first.report(self.office, at=self.now - timedelta(minutes=45))
        copy.write(list(first_records(NORDLICHT))[2:4], at=self.now - timedelta(minutes=40))
        copy.report(self.office, at=self.now - timedelta(minutes=35))
        with self.office.database.transaction() as session:
            issued = licenses.require_license(session, self.expiring)
            at = self.now - timedelta(hours=6)
            draft = draft_renewal(issued, days=365, keyring=self.office.keyring, at=at)
            proposals.propose(session, draft, occasion=self._by(STAFF[1][2], at))

    def _run_close(self, client: Client, period: Period, *, at: datetime, sends: bool = False) -> None:
        with self.office.database.transaction() as session:
            occasion = self._by(STAFF[2][2], at)
            statements.close(session, client.contract_id, period, occasion=occasion, sends=sends)

    def _answer(self, client: Client, statement_id: str, *, at: datetime, reason: str | None = None) -> None:
        occasion = self._by(client.contact[1], at)
        with self.office.database.transaction() as session:
            statement = statements.require_statement(session, statement_id)
            if reason is None:
                life.accept(session, statement, detail="accepted in the portal", occasion=occasion)
            else:
                life.dispute(session, statement, reason=reason, occasion=occasion)

    def _invite(
        self, session: Session, hashed: str, role: Role, name: str, email: str, *, customer_id: str | None = None
    ) -> None:
        occasion = Occasion(actor="admin:demo", at=self.begun)
        person, token = people.invite(
            session, email=email, name=name, role=role, customer_id=customer_id, occasion=occasion
        )
        people.accept_invitation(session, token, hashed, at=self.begun)
        if role is not Role.CUSTOMER:
            person.totp_sealed = second_factor.seal(SECRET, self.office.keyring.console_secret)

    def _months_of(self, client: Client) -> list[Period]:
        return self.periods[-client.months :]

    @staticmethod
    def _by(email: str, at: datetime) -> Occasion:
        return Occasion(actor=f"person:{email}", at=at)


def _closed_months(now: datetime, count: int) -> list[Period]:
    """The last months that were over for a week by *now*."""
    period = Period(year=now.year, month=now.month)
    while period.end + timedelta(days=7) > now:
        before = period.start - timedelta(days=1)
        period = Period(year=before.year, month=before.month)
    months = [period]
    while len(months) < count:
        before = months[0].start - timedelta(days=1)
        months.insert(0, Period(year=before.year, month=before.month))
    return months


def _following(period: Period) -> Period:
    return Period(year=period.year + period.month // 12, month=period.month % 12 + 1)
