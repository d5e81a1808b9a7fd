"""A customer's site with a relay that the vendor has certified, and pods that ask it for seats."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from narrows_licensing.certificate import Pool, RelayCertificate
from narrows_licensing.document import LicenseFile
from narrows_licensing.lease import Lease, read_lease
from narrows_licensing.lease_request import LeaseRequest
from narrows_licensing.license import LeaseTerms, License
from narrows_licensing.pool import Full, TooLong
from narrows_licensing.relay.desk import Desk
from narrows_licensing.relay.home import RelayHome
from narrows_licensing.relay.store import Store
from narrows_licensing.response import Response
from narrows_licensing.signature import Typ, sign
from narrows_licensing.testing import NOW, Vendor, a_license
from narrows_licensing.trust import Role
from narrows_licensing.verdict import Refused

VENDOR = Vendor()


@dataclass(slots=True)
class Clock:
    """The time, until somebody turns it."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        self.at += timedelta(**by)


def a_floating_license(seats: int = 50, **changes: Any) -> License:
    license = a_license(**changes)
    entitlements = replace(license.entitlements, max_concurrent_encodes=seats)
    return replace(license, entitlements=entitlements, lease=LeaseTerms(borrow_max=timedelta(days=7)))


def a_response(home: RelayHome, *, seats: int = 50, revoked: tuple[int, ...] | None = None, **changes: Any) -> str:
    """What the vendor sends a relay; *changes* are to its certificate."""
    certificate = RelayCertificate(
        certificate_id="CRT-0001",
        customer_id="CUS-0001",
        key=home.key.public_key(),
        issued_at=NOW,
        expires_at=NOW + timedelta(days=365),
        status_index=9,
        pools=(Pool(license_id="LIC-0001", seats=seats),),
    )
    token = sign(replace(certificate, **changes).claims(), typ=Typ.RELAY, key=VENDOR.key(Role.LEASE))
    file = LicenseFile.from_json(VENDOR.license_file(a_floating_license(seats), revoked=revoked))
    return Response(certificate=token, license=file).to_json()


@dataclass(slots=True, kw_only=True)
class SiteRelay:
    """A relay that is ready to serve."""

    home: RelayHome
    clock: Clock
    store: Store
    desk: Desk

    @classmethod
    def open(cls, folder: Path, *, seats: int = 50, **changes: Any) -> SiteRelay:
        clock, home = Clock(), RelayHome.at(folder)
        papers = home.take_in(a_response(home, seats=seats, **changes), roots=VENDOR.roots.to_json(), at=NOW)
        store = Store(home.database)
        return cls(
            home=home,
            clock=clock,
            store=store,
            desk=Desk(key=home.key, papers=papers, store=store, clock=clock),
        )

    def occupied(self) -> int:
        return self.desk.occupied("LIC-0001", self.clock())

    def read(self, document: str) -> Lease:
        """The lease as its holder reads it: offline, from the vendor's keys alone."""
        return read_lease(document, VENDOR.bundle(), None, at=self.clock())


@dataclass(slots=True, kw_only=True)
class Pod:
    """Somebody who asks for seats: an installation with a key of its own."""

    license: License = field(default_factory=a_floating_license)
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def request(self, at: datetime, **changes: Any) -> str:
        token = sign(self.license.claims(), typ=Typ.LICENSE, key=VENDOR.key(Role.LICENSE))
        request = LeaseRequest(key=self.key.public_key(), license_token=token, place=0, asked_at=at)
        return replace(request, **changes).sign(self.key)

    def ask(self, relay: SiteRelay, **changes: Any) -> Lease | Full | TooLong | Refused:
        answer = relay.desk.lease(self.request(relay.clock(), **changes))
        return relay.read(answer) if isinstance(answer, str) else answer

    def give_back(self, relay: SiteRelay, lease: Lease) -> bool:
        return relay.desk.free(self.request(relay.clock(), gives_back=lease.lease_id))
