"""
A license: what one customer may do, until when, and how its usage is counted.

This is the value and its claims, one to one. Whether somebody trustworthy signed it is `document`'s concern, whether
it permits something today is `policy`'s. A license says nothing about decoding: nobody needs one for that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from html import escape
from typing import Any, Final

from narrows_licensing.binding import UNBOUND, Binding, read_binding
from narrows_licensing.claims import ClaimReader, seconds_of
from narrows_licensing.entitlement import Entitlements
from narrows_licensing.errors import LicenseUnreadable
from narrows_licensing.trust import AUDIENCE, BUNDLE_VERSION_MAX, ISSUER

GRACE_DAYS_MAX: Final = 366
STATUS_INDEX_MAX: Final = 2**24 - 1
HEARTBEAT_SECONDS_MIN: Final = 60
HEARTBEAT_SECONDS_MAX: Final = 7 * 86_400
BORROW_DAYS_MAX: Final = 366
UNREPORTED_DAYS_MAX: Final = 3660
UNREPORTED_BYTES_MAX: Final = 2**53 - 1
URL_CHARACTERS_MAX: Final = 1024

_VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}")
_LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Kind(StrEnum):
    """What a license is for. Usage under a development license is marked as such and never billed."""

    PRODUCTION = "production"
    TRIAL = "trial"
    DEVELOPMENT = "development"


class MeteringMode(StrEnum):
    """Whether the contract asks for reports of usage."""

    REQUIRED = "required"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteringTerms:
    """How usage under a license is counted, and under which contract."""

    mode: MeteringMode
    report_url: str | None  # https, or http on this machine; None where reports travel as files.
    contract_id: str
    baseline_id: str  # The codec and settings that the contract compares with, such as ``libx265-medium``.
    max_unreported: timedelta | None = None  # Whole days. Usage may wait this long for a receipt; None sets no limit.
    max_unreported_bytes: int | None = None  # Coded and delivered bytes that may wait for a receipt.


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """How the seats of a floating license are handed out. There are as many as encodes may run at once."""

    heartbeat: timedelta = timedelta(seconds=600)  # Whole seconds. How long a lease lasts unless it is renewed.
    revive: timedelta = timedelta(0)  # Whole seconds. How long an ended lease may still be renewed, if a seat is free.
    borrow_max: timedelta = timedelta(0)  # Whole days. How long a seat may be taken along.


@dataclass(frozen=True, slots=True, kw_only=True)
class License:
    """The signed permission. Times are aware, UTC, whole seconds."""

    license_id: str
    customer_id: str
    kind: Kind
    issued_at: datetime
    not_before: datetime
    expires_at: datetime  # The first moment at which it is no longer fully valid.
    grace: timedelta  # Whole days after `expires_at` in which it still works, and says so.
    maintenance_until: date | None  # SDK releases dated later are not covered; None covers every release.
    entitlements: Entitlements
    metering: MeteringTerms
    bundle_min: int  # The lowest trust bundle that may vouch for this license.
    sdk_min: str  # The lowest SDK release that may use it.
    binding: Binding = UNBOUND
    lease: LeaseTerms | None = None  # An encode needs a lease; None where it needs none.
    status_index: int | None = None  # Its place in the revocation list; None can't be taken back before it ends.

    def __str__(self) -> str:
        ends = f"{self.not_before:%Y-%m-%d} to {self.expires_at:%Y-%m-%d} and {self.grace.days} days of grace"
        return (
            f"{self.kind} license {self.license_id} of {self.customer_id}, {ends}, contract {self.metering.contract_id}"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows (IPython)."""
        return f"<p>{escape(str(self))}</p>"

    def claims(self) -> dict[str, Any]:
        """
        Return the claims of the token (RFC 7519 names where there are any). Times lose their fractions of a second.

        Raises `LicenseUnreadable` if the license breaks a rule of `from_claims`: no license is signed that an SDK
        would refuse to read.
        """
        if self.grace % timedelta(days=1):
            raise LicenseUnreadable("grace_days", "is not a whole number of days")
        if (self.metering.max_unreported or timedelta(0)) % timedelta(days=1):
            raise LicenseUnreadable("metering.max_unreported_days", "is not a whole number of days")
        claims = {
            "iss": ISSUER,
            "sub": self.customer_id,
            "aud": AUDIENCE,
            "jti": self.license_id,
            "iat": seconds_of(self.issued_at),
            "nbf": seconds_of(self.not_before),
            "exp": seconds_of(self.expires_at),
            "kind": self.kind.value,
            "grace_days": self.grace.days,
            "maintenance_until": self.maintenance_until.isoformat() if self.maintenance_until else None,
            "entitlements": self.entitlements.claims(),
            "metering": {
                "mode": self.metering.mode.value,
                "report_url": self.metering.report_url,
                "max_unreported_days": self.metering.max_unreported.days if self.metering.max_unreported else None,
                "max_unreported_bytes": self.metering.max_unreported_bytes,
                "contract_id": self.metering.contract_id,
                "baseline_id": self.metering.baseline_id,
            },
            "binding": self.binding.claims(),
            "lease": None
            if self.lease is None
            else {
                "heartbeat_seconds": self.lease.heartbeat // timedelta(seconds=1),
                "revive_seconds": self.lease.revive // timedelta(seconds=1),
                "borrow_days_max": self.lease.borrow_max.days,
            },
            "status_index": self.status_index,
            "bundle_min": self.bundle_min,
            "sdk_min": self.sdk_min,
        }
        License.from_claims(claims)
        return claims

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> License:
        """
        Read the claims of a token whose signature has been checked.

        Raises `LicenseUnreadable`, naming the claim, if one is missing, unknown or outside its limits.
        """
        reader = ClaimReader(dict(claims), error=LicenseUnreadable)
        reader.constant("iss", ISSUER)
        reader.constant("aud", AUDIENCE)
        license = cls(
            license_id=reader.identifier("jti"),
            customer_id=reader.identifier("sub"),
            kind=reader.choice("kind", Kind),
            issued_at=reader.time("iat"),
            not_before=reader.time("nbf"),
            expires_at=reader.time("exp"),
            grace=timedelta(days=reader.integer("grace_days", lowest=0, highest=GRACE_DAYS_MAX)),
            maintenance_until=reader.day_or_none("maintenance_until"),
            entitlements=Entitlements.read(reader.object("entitlements")),
            metering=_metering(reader.object("metering")),
            bundle_min=reader.integer("bundle_min", lowest=0, highest=BUNDLE_VERSION_MAX),
            sdk_min=_version(reader, "sdk_min"),
            binding=read_binding(reader.object("binding")),
            lease=_lease(reader.object("lease")) if reader.object_or_none("lease") is not None else None,
            status_index=reader.integer_or_none("status_index", lowest=0, highest=STATUS_INDEX_MAX),
        )
        reader.done()
        if license.lease is not None and license.entitlements.max_concurrent_encodes is None:
            reader.refuse("lease", "needs a number of seats: entitlements.max_concurrent_encodes")
        if license.not_before < license.issued_at:
            reader.refuse("nbf", "is before iat")
        if license.expires_at <= license.not_before:
            reader.refuse("exp", "is not after nbf")
        return license


def _lease(reader: ClaimReader) -> LeaseTerms:
    terms = LeaseTerms(
        heartbeat=timedelta(
            seconds=reader.integer("heartbeat_seconds", lowest=HEARTBEAT_SECONDS_MIN, highest=HEARTBEAT_SECONDS_MAX)
        ),
        revive=timedelta(seconds=reader.integer("revive_seconds", lowest=0, highest=HEARTBEAT_SECONDS_MAX)),
        borrow_max=timedelta(days=reader.integer("borrow_days_max", lowest=0, highest=BORROW_DAYS_MAX)),
    )
    reader.done()
    return terms


def _metering(reader: ClaimReader) -> MeteringTerms:
    days = reader.integer_or_none("max_unreported_days", lowest=1, highest=UNREPORTED_DAYS_MAX)
    terms = MeteringTerms(
        mode=reader.choice("mode", MeteringMode),
        report_url=_report_url(reader, "report_url"),
        contract_id=reader.identifier("contract_id"),
        baseline_id=reader.identifier("baseline_id"),
        max_unreported=None if days is None else timedelta(days=days),
        max_unreported_bytes=reader.integer_or_none("max_unreported_bytes", lowest=1, highest=UNREPORTED_BYTES_MAX),
    )
    reader.done()
    return terms


def _report_url(reader: ClaimReader, name: str) -> str | None:
    url = reader.text_or_none(name, characters_max=URL_CHARACTERS_MAX)
    if url is None:
        return None
    from urllib.parse import urlsplit  # A tenth of the time that importing this module takes, and often not needed.

    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        reader.refuse(name, "is not a URL")
    # Usage figures are a customer's business; they don't cross a network in the clear.
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK_HOSTS)):
        reader.refuse(name, "is neither an https URL nor an http URL of this machine")
    if parts.username is not None or parts.fragment or " " in url:
        reader.refuse(name, "has credentials, a fragment or spaces")
    return url


def _version(reader: ClaimReader, name: str) -> str:
    version = reader.text(name, characters_max=27)
    if not _VERSION.fullmatch(version):
        reader.refuse(name, "is not a version of 1..4 numbers separated by dots")
    return version
