"""
Asking for a seat, and giving one back: what goes to the vendor's server or to a relay.

Signed with the installation's own key, so that nobody gives back the seat of another. The license travels inside, so
whoever answers needs no list of licenses; which seats are free is decided by `pool`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from narrows_licensing.binding import Identity, Installation
from narrows_licensing.certificate import read_key
from narrows_licensing.claims import ClaimReader, seconds_of
from narrows_licensing.errors import DocumentUnreadable
from narrows_licensing.license import BORROW_DAYS_MAX, License
from narrows_licensing.policy import CLOCK_TOLERANCE, Circumstances, evaluate
from narrows_licensing.request import unverified_claims
from narrows_licensing.revocation import Status
from narrows_licensing.signature import (
    TOKEN_BYTES_MAX,
    Typ,
    public_key_to_text,
    sign,
    thumbprint,
    verify,
)
from narrows_licensing.trust import AUDIENCE
from narrows_licensing.verdict import Reason, Refused

LEASE_REQUEST_BYTES_MAX: Final = 2 * TOKEN_BYTES_MAX  # A license token inside another token.
PLACE_MAX: Final = 4095
LEASES_PATH: Final = "/v1/leases"
GIVE_BACK_PATH: Final = "/v1/leases/give-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """What is asked, by whom."""

    key: Ed25519PublicKey  # Of the installation.
    license_token: str
    place: int  # Which of the encodes that run side by side at that installation.
    asked_at: datetime  # By the clock there; aware.
    borrow: timedelta = timedelta(0)  # Whole days to take the seat along for; zero for a lease that is renewed.
    gives_back: str | None = None  # The lease whose seat is given back; None asks for one.

    @property
    def installation_id(self) -> str:
        """Who asks: the thumbprint of its key."""
        return thumbprint(self.key)

    @property
    def holder(self) -> str:
        """Whose seat it is."""
        return holder_of(self.installation_id, self.place)

    def sign(self, key: Ed25519PrivateKey) -> str:
        """Sign it with the installation's key. Raises `LicensingError` if `read_lease_request` would."""
        token = sign(self._claims(), typ=Typ.LEASE_REQUEST, key=key)
        read_lease_request(token)
        return token

    def _claims(self) -> dict[str, Any]:
        return {
            "aud": AUDIENCE,
            "key": public_key_to_text(self.key),
            "license": self.license_token,
            "place": self.place,
            "iat": seconds_of(self.asked_at),
            "borrow_days": self.borrow.days,
            "gives_back": self.gives_back,
        }


def holder_of(installation_id: str, place: int) -> str:
    """Return the name of a holder. It is the same after a restart, so that whoever was killed finds its seat again."""
    return f"{place}.{installation_id}"


def read_lease_request(token: str) -> LeaseRequest:
    """
    Read a request that the key inside it signed. The license inside is not looked at.

    Raises `SignatureRefused` for the signature, `DocumentUnreadable` for the contents.
    """
    request = _read(unverified_claims(token, size_max=LEASE_REQUEST_BYTES_MAX))
    keys = {request.installation_id: request.key}
    verify(token, typ=Typ.LEASE_REQUEST, keys=keys, size_max=LEASE_REQUEST_BYTES_MAX)
    return request


def admit(
    request: LeaseRequest, keys: Mapping[str, Ed25519PublicKey], *, status: Status, at: datetime
) -> License | Refused:
    """
    Return the license whose seats are asked for, if one of *keys* (of the license role) signed it and it permits that.

    Its *status* is what whoever answers knows of it. Raises `LicensingError` for a license that can't be believed.
    """
    license = License.from_claims(verify(request.license_token, typ=Typ.LICENSE, keys=keys))
    if license.lease is None:
        detail = "the license has no seats to hand out; it needs no lease"
        return Refused(reason=Reason.NO_SEAT, detail=detail, license_id=license.license_id)
    if abs(at - request.asked_at) > CLOCK_TOLERANCE:
        detail = f"the clocks differ: {request.asked_at:%Y-%m-%d %H:%M} there, {at:%Y-%m-%d %H:%M} here, in UTC"
        return Refused(reason=Reason.CLOCK_WOUND_BACK, detail=detail, license_id=license.license_id)
    identity = Identity(installation_id=request.installation_id)
    if isinstance(license.binding, Installation) and (mismatch := license.binding.mismatch(identity)):
        return Refused(reason=Reason.WRONG_BINDING, detail=mismatch, license_id=license.license_id)
    # Whatever else it asks for (presets, sizes, other bindings) is asked where the encode is.
    verdict = evaluate(license, Circumstances(now=at, status=status))
    return verdict if isinstance(verdict, Refused) else license


def _read(claims: Mapping[str, Any]) -> LeaseRequest:
    reader = ClaimReader(dict(claims), error=DocumentUnreadable)
    reader.constant("aud", AUDIENCE)
    request = LeaseRequest(
        key=read_key(reader, "key"),
        license_token=reader.text("license", characters_max=TOKEN_BYTES_MAX),
        place=reader.integer("place", lowest=0, highest=PLACE_MAX),
        asked_at=reader.time("iat"),
        borrow=timedelta(days=reader.integer("borrow_days", lowest=0, highest=BORROW_DAYS_MAX)),
        gives_back=reader.identifier_or_none("gives_back"),
    )
    reader.done()
    return request
