"""Builders for the server's tests: a clock to turn, a customer under contract, and installations with real ledgers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from narrows.installation import key_path, write_secret
from narrows.settings import Settings
from narrows_licensing.signature import public_key_to_text, thumbprint
from narrows_licensing.trust import Role
from narrows_metering.ledger import Ledger
from narrows_metering.record import Kind, Record
from narrows_metering.report import Receipt, Report, encode_report, next_report, read_receipt, sign_report
from narrows_metering.terms import Period
from narrows_metering.testing import GB, a_delivery, an_encode, an_evidence
from narrows_server.audit import Occasion
from narrows_server.contracts import service as contracts
from narrows_server.contracts.contract_document import ContractDocument
from narrows_server.contracts.reading import check_document
from narrows_server.contracts.tariff_document import TariffDocument
from narrows_server.customers import service as customers
from narrows_server.database import Database
from narrows_server.licenses import service as licenses
from narrows_server.office import Office
from narrows_server.parties.party import Party, Seller
from sqlalchemy import event

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
NOVEMBER = Period(year=2026, month=11)
VENDOR = Seller(
    name="Narrows",
    address=("Uferstraße 12",),
    postcode="10115",
    city="Berlin",
    country="DE",
    iban="DE02120300000000202051",
    bic="BYLADEM1001",
)


@dataclass(slots=True)
class Clock:
    """The time, until somebody turns it."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **by: int) -> None:
        self.at += timedelta(**by)


class Browser:
    """Asks the application over ASGI and keeps its cookies. Every request is over when its method returns."""

    def __init__(self, app: FastAPI, *, headers: Mapping[str, str] | None = None, is_calm: bool = False) -> None:
        self._app = app
        self._is_calm = is_calm  # Takes a fault of the application for an answer, as a stranger would.
        self._headers = dict(headers or {})
        self.cookies = httpx.Cookies()

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("GET", path, b"", headers)

    def post(self, path: str, body: bytes = b"", **headers: str) -> httpx.Response:
        return self.ask("POST", path, body, headers)

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=not self._is_calm)
            async with httpx.AsyncClient(
                transport=transport, base_url="https://narrows.test", cookies=self.cookies
            ) as client:
                response = await client.request(method, path, content=body, headers=self._headers | named)
                self.cookies = httpx.Cookies(client.cookies)
                return response

        return asyncio.run(ask())


@dataclass(slots=True, kw_only=True)
class Site:
    """An installation of a customer: its key, its ledger on disk and the license that it runs under."""

    folder: Path
    license_token: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def installation_id(self) -> str:
        return thumbprint(self.key.public_key())

    def record(self, *entries: tuple[Kind, Mapping[str, object]], at: datetime = NOW) -> None:
        """Append records to the ledger."""
        with self._ledger() as ledger:
            for kind, payload in entries:
                ledger.append(kind, payload, time=at)

    def report(self) -> tuple[bytes, str]:
        """Body and signature of the records without a receipt."""
        with self._ledger() as ledger:
            report = next_report(ledger, key=self.key, license_token=self.license_token, sdk="narrows 0.1.0")
        assert report is not None
        return report

    def acknowledge(self, token: str, office: Office) -> Receipt:
        """Take a receipt as the SDK does, into the ledger."""
        receipt = self.open_receipt(token, office)
        with self._ledger() as ledger:
            ledger.acknowledge(token, receipt)
        return receipt

    def open_receipt(self, token: str, office: Office) -> Receipt:
        """Read a receipt with the keys that the trust bundle names for receipts."""
        return read_receipt(token, office.keyring.bundle.keys_for(Role.RECEIPT, office.clock()))

    def clone(self, folder: Path) -> Site:
        """A copy of the whole machine, as a snapshot of a virtual machine would make it."""
        folder.mkdir()
        for file in self.folder.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        return Site(folder=folder, license_token=self.license_token, key=self.key)

    def settings(self) -> Settings:
        """What the SDK reads on this machine; its keys are put where the SDK keeps them."""
        for path, secret in (
            (key_path(self.folder), self.key.private_bytes_raw()),
            (self.folder / "asset.key", bytes(32)),
        ):
            if not path.exists():
                write_secret(path, secret)
        return Settings(license_path=self.folder / "license.json", roots_path=None, state_folder=self.folder)

    def _ledger(self) -> Ledger:
        return Ledger.open(self.folder / "ledger.sqlite", installation_id=self.installation_id)


def some_usage(
    *, delivered: int = 800 * GB, ours: int = 800_000, baseline: int = 1_000_000
) -> list[tuple[Kind, dict[str, object]]]:
    """An encode, its evidence and a delivery in November: 800 GB that the baseline would have made 1,000 GB."""
    return [
        (Kind.ENCODE, an_encode()),
        (Kind.EVIDENCE, an_evidence(ours=ours, baseline=baseline)),
        (Kind.DELIVERY, a_delivery(delivered=delivered)),
    ]


def an_occasion(at: datetime = NOW) -> Occasion:
    return Occasion(actor="admin:test", at=at)


def some_contract(**terms: object) -> dict[str, object]:
    """The members of a contract document: a fifth of what is saved, from November 2026 on, binding once closed."""
    return {
        "customer": "kanal",
        "currency": "EUR",
        "starts_on": "2026-11-01",
        "tariff": "kanal-1-tariff",
        "baseline": "libx265-medium",
        "metric": "ms_ssim",
        "share": [{"percent": "20"}],
        "acceptance": "on_close",
        **terms,
    }


def a_contract(
    office: Office,
    *,
    customer_id: str = "kanal",
    contract_id: str = "kanal-1",
    currency: str = "EUR",
    price: str = "0.05",
    **terms: object,
) -> str:
    """A customer with a tariff and a contract, whose document may say more; returns the contract's id."""
    with office.database.transaction() as session:
        occasion = an_occasion(office.clock())
        party = Party(name="Kanal Fünf AB", address=("Storgatan 1", "111 23 Stockholm"), tax_id="SE556677889901")
        customers.add_customer(session, party, customer_id=customer_id, occasion=occasion)
        priced = {"name": "CDN 2026", "currency": currency, "tiers": [{"price_per_gb": price}]}
        tariff = check_document(TariffDocument, priced, what="tariff")
        contracts.add_tariff(session, tariff, tariff_id=f"{contract_id}-tariff", occasion=occasion)
        members = some_contract(customer=customer_id, currency=currency, tariff=f"{contract_id}-tariff") | terms
        document = check_document(ContractDocument, members, what="contract")
        contracts.add_contract(session, document, contract_id=contract_id, occasion=occasion)
    return contract_id


def a_license(
    office: Office, *, customer_id: str = "kanal", contract_id: str = "kanal-1", days: int = 365
) -> tuple[str, str]:
    """A license under a contract: its id and its token."""
    order = licenses.LicenseOrder(customer_id=customer_id, contract_id=contract_id, days=days)
    with office.database.transaction() as session:
        issued = licenses.issue(session, order, keyring=office.keyring, occasion=an_occasion(office.clock()))
    return issued.id, issued.token


def a_site(office: Office, folder: Path, *, customer_id: str = "kanal", contract_id: str = "kanal-1") -> Site:
    """A fresh installation under a fresh license."""
    folder.mkdir(parents=True)
    return Site(folder=folder, license_token=a_license(office, customer_id=customer_id, contract_id=contract_id)[1])


def a_report(site: Site, records: Sequence[Record], *, license_token: str | None = None) -> tuple[bytes, str]:
    """A report of exactly *records*, whatever a ledger would send next."""
    body = encode_report(
        Report(
            installation_id=site.installation_id,
            public_key=public_key_to_text(site.key.public_key()),
            license_token=license_token or site.license_token,
            sdk="narrows 0.1.0",
            nonce_previous=None,
            records=tuple(records),
        )
    )
    return body, sign_report(body, site.key)


def send(browser: Browser, report: tuple[bytes, str]) -> httpx.Response:
    """Post a report."""
    body, signature = report
    return browser.post("/v1/reports", body, Narrows_Signature=signature, Content_Type="application/octet-stream")


class PowerCut(Exception):
    """The lights go out."""


class FailingAfter:
    """Cuts the power after so many statements of SQL."""

    def __init__(self, database: Database, statements: int) -> None:
        self._engine = database.engine
        self._left = statements
        self.has_struck = False

    def __enter__(self) -> FailingAfter:
        event.listen(self._engine, "before_cursor_execute", self._strike)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._strike)

    def _strike(self, *_: object) -> None:
        if self._left == 0:
            self.has_struck = True
            raise PowerCut
        self._left -= 1
