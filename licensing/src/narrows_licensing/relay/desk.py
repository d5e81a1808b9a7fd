"""
What a relay answers: a lease for whoever may have a seat, and "kept" for whoever brings a report.

It has the same rules as the vendor's server (`pool`, `lease_request`) and fewer seats: those in its certificate.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from narrows_licensing.lease import lease_document
from narrows_licensing.lease_request import LeaseRequest, admit, read_lease_request
from narrows_licensing.license import HEARTBEAT_SECONDS_MAX, License
from narrows_licensing.pool import DRIFT, Full, PoolTerms, Taken, TooLong, give_back, take
from narrows_licensing.relay.home import Papers
from narrows_licensing.relay.store import Store
from narrows_licensing.revocation import Status
from narrows_licensing.signature import Typ, sign
from narrows_licensing.trust import Role
from narrows_licensing.verdict import Reason, Refused

HEARTBEAT_MAX: Final = timedelta(seconds=HEARTBEAT_SECONDS_MAX)  # Also of the time in which a seat may be revived.
RECEIPTS_FORMAT: Final = "narrows-receipts/1"
RECEIPTS_MAX: Final = 1_000  # In one answer; older ones are covered by those that came after them.
CERTIFICATE_TOLERANCE: Final = timedelta(days=1)  # By how much the relay's clock may be behind the vendor's.


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A relay at work. Every thread may share it."""

    key: Ed25519PrivateKey
    papers: Papers
    store: Store
    clock: Callable[[], datetime]  # Aware, UTC.

    def lease(self, token: str) -> str | Full | TooLong | Refused:
        """
        Give the holder a seat, or renew the one that it has; returns the lease as it is handed out.

        Raises `LicensingError` for a request that can't be believed.
        """
        at = self.clock()
        request = read_lease_request(token)
        license = self._admit(request, at)
        if isinstance(license, Refused):
            return license
        terms = PoolTerms.of_relay(license, self.papers.certificate)
        with self.store.transaction():
            self.store.forget_seats(expired_by=at - DRIFT - HEARTBEAT_MAX, but=request.holder)
            taken = take(
                self.store.get_seat(license.license_id, request.holder),
                self.occupied(license.license_id, at, but=request.holder),
                terms,
                holder=request.holder,
                lease_id=f"lea_{secrets.token_hex(10)}",
                at=at,
                borrow=request.borrow,
            )
            if not isinstance(taken, Taken):
                return taken
            self.store.keep_seat(license.license_id, taken.seat)
        lease = sign(taken.seat.lease(license).claims(), typ=Typ.LEASE, key=self.key)
        return lease_document(lease, self.papers.certificate_token)

    def occupied(self, license_id: str, at: datetime, *, but: str = "") -> int:
        """
        Return how many seats of a license's pool are occupied, without that of the holder *but*.

        Those of licenses that the certificate no longer names are among them: this one has renewed theirs.
        """
        others = [pool.license_id for pool in self.papers.certificate.pools if pool.license_id != license_id]
        return self.store.count_seats(expires_after=at - DRIFT, but=but, besides=others)

    def free(self, token: str) -> bool:
        """Take a seat back; False if it was free before. Raises `LicensingError` for what can't be believed."""
        at = self.clock()
        request = read_lease_request(token)
        license_id = admit(request, self._license_keys(at), status=Status.GOOD, at=at).license_id or ""
        with self.store.transaction():
            seat = self.store.get_seat(license_id, request.holder)
            if not give_back(seat, lease_id=request.gives_back or ""):
                return False
            self.store.remove_seat(license_id, request.holder)
            return True

    def keep_report(self, body: bytes, signature: str) -> str | None:
        """Keep a report for the vendor; returns the vendor's receipt if there is one. The relay signs none itself."""
        with self.store.transaction():
            return self.store.keep_report(body, signature, at=self.clock())

    def receipts_of(self, installation_id: str) -> bytes:
        """Return the vendor's receipts for an installation as a file that `narrows usage acknowledge` takes in."""
        receipts = self.store.receipts_of(installation_id, limit=RECEIPTS_MAX)
        lines = [{"format": RECEIPTS_FORMAT}, *({"receipt": receipt} for receipt in receipts), {"count": len(receipts)}]
        return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)

    def _admit(self, request: LeaseRequest, at: datetime) -> License | Refused:
        license = admit(request, self._license_keys(at), status=Status.GOOD, at=at)
        if isinstance(license, License):
            license = admit(request, self._license_keys(at), status=self.papers.status_of(license.status_index), at=at)
        if isinstance(license, Refused):
            return license
        certificate = self.papers.certificate
        fault = None
        if certificate.seats_of(license.license_id) is None or certificate.customer_id != license.customer_id:
            fault = f"this relay has no seats of license {license.license_id}"
        elif not certificate.issued_at - CERTIFICATE_TOLERANCE <= at < certificate.expires_at:
            fault = f"the certificate of this relay ended on {certificate.expires_at:%Y-%m-%d}"
        elif self.papers.status_of(certificate.status_index) is not Status.GOOD:
            fault = "the certificate of this relay was taken back"
        if fault is None:
            return license
        return Refused(reason=Reason.NO_SEAT, detail=fault, license_id=license.license_id)

    def _license_keys(self, at: datetime) -> dict[str, Ed25519PublicKey]:
        return self.papers.bundle.keys_for(Role.LICENSE, at)
