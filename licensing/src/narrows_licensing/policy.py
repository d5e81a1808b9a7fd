"""
The decision what a license permits, given the circumstances.

Pure and total: no clock, no files, no network, and every outcome is a value. It is made once, before a session
starts; nothing that happens later takes the permission away from a running encode, and no decode ever asks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from narrows_licensing.binding import Identity
from narrows_licensing.license import Kind, License, MeteringMode
from narrows_licensing.revocation import Status
from narrows_licensing.verdict import Granted, Reason, Refused, State

EXPIRY_NOTICE: Final = timedelta(days=30)
CLOCK_TOLERANCE: Final = timedelta(hours=24)  # Covers daylight saving, wrong zones and a late NTP.

_RELEASE_NUMBERS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the decision depends on besides the license. None leaves the matter out of the decision."""

    now: datetime  # What the clock of this computer says; aware.
    status: Status = Status.GOOD  # On the newest revocation list.
    latest_time_seen: datetime | None = None  # The latest time that is known to have passed: receipts, the ledger.
    release_date: date | None = None  # Of this SDK.
    sdk_version: str | None = None  # Of this SDK, such as "0.1.0"; a suffix behind the numbers is ignored.
    identity: Identity | None = None  # Who is asking.
    preset: str | None = None  # The encoder preset asked for.
    profile: str | None = None  # The bitstream profile asked for.
    pixels: int | None = None  # Width × height of one frame.
    running_encodes: int | None = None  # Those that run already, besides the one asked for.
    lease_until: datetime | None = None  # When the lease that is held here ends; asked for by floating licenses only.
    unreported_since: datetime | None = None  # When the oldest usage without a receipt was recorded.
    unreported_bytes: int | None = None  # Coded and delivered bytes without a receipt.


def evaluate(license: License, at: Circumstances) -> Granted | Refused:
    """
    Decide whether *license* permits encoding in the circumstances *at*.

    Checks run from the most to the least permanent reason, so that the one reported is the one worth fixing first.
    """
    # A clock can be set back, time can't: it is at least as late as everything that is known to have happened.
    # That also lets a license work on the minute it was issued, on a machine whose clock is slightly slow.
    time = max(at.now, license.issued_at, at.latest_time_seen or at.now)
    checks = (_status_fault, _release_fault, _scope_fault, _passing_fault)
    for check in checks:
        if fault := check(license, at, time):
            reason, detail = fault
            return Refused(reason=reason, detail=detail, license_id=license.license_id)
    in_grace = time >= license.expires_at
    is_expiring = time >= license.expires_at - EXPIRY_NOTICE
    limit = license.entitlements.max_concurrent_encodes
    return Granted(
        license_id=license.license_id,
        state=State.GRACE if in_grace else State.EXPIRING if is_expiring else State.VALID,
        until=license.expires_at + license.grace if in_grace else license.expires_at,
        is_development=license.kind is Kind.DEVELOPMENT,
        is_over_limit=limit is not None and at.running_encodes is not None and at.running_encodes >= limit,
    )


_Fault = tuple[Reason, str]


def _status_fault(license: License, at: Circumstances, time: datetime) -> _Fault | None:
    """What ends a license for good."""
    end = license.expires_at + license.grace
    if at.status is Status.REVOKED:
        return Reason.REVOKED, f"license {license.license_id} is on the revocation list"
    if time >= end:
        wound_back = f"; {_two_times(at, time)}" if at.now < end else ""
        return Reason.EXPIRED, f"it expired on {_day(license.expires_at)}, its grace period on {_day(end)}{wound_back}"
    return None


def _release_fault(license: License, at: Circumstances, time: datetime) -> _Fault | None:
    """Which releases it covers."""
    if license.maintenance_until and at.release_date and at.release_date > license.maintenance_until:
        released, ended = at.release_date.isoformat(), license.maintenance_until.isoformat()
        return Reason.MAINTENANCE_ENDED, f"this release is of {released}, maintenance ended on {ended}"
    if at.sdk_version is not None and _release(at.sdk_version) < _release(license.sdk_min):
        return Reason.SDK_TOO_OLD, f"this is release {at.sdk_version}, the license needs {license.sdk_min}"
    return None


def _scope_fault(license: License, at: Circumstances, time: datetime) -> _Fault | None:
    """For whom it is, and for what."""
    entitled = license.entitlements
    if at.identity is not None and (mismatch := license.binding.mismatch(at.identity)):
        return Reason.WRONG_BINDING, mismatch
    if not entitled.encode:
        return Reason.NOT_ENTITLED, "the license does not include encoding"
    for what, asked, included in (
        ("preset", at.preset, entitled.presets),
        ("profile", at.profile, entitled.profiles),
    ):
        if asked is not None and asked not in included:
            return Reason.NOT_ENTITLED, f"{what} {asked} is not among those included: {', '.join(included) or 'none'}"
    if at.pixels is not None and at.pixels > entitled.max_pixels:
        return Reason.OVER_LIMIT, f"a frame of {at.pixels} pixels was asked for, the limit is {entitled.max_pixels}"
    if entitled.max_concurrent_encodes is not None and at.running_encodes is not None:
        permitted = entitled.overage.stretch(entitled.max_concurrent_encodes)
        if permitted is not None and at.running_encodes >= permitted:
            return Reason.OVER_LIMIT, f"{at.running_encodes} encodes run already, {permitted} may run at once"
    if license.lease is not None and at.identity is not None and (at.lease_until is None or time >= at.lease_until):
        ended = "there is none" if at.lease_until is None else f"the last one ended at {_minute(at.lease_until)}"
        return Reason.NO_SEAT, f"an encode needs a lease, and {ended}"
    return None


def _passing_fault(license: License, at: Circumstances, time: datetime) -> _Fault | None:
    """What passes without a new license."""
    terms = license.metering
    if at.status is Status.SUSPENDED:
        return Reason.SUSPENDED, f"license {license.license_id} is suspended on the revocation list"
    if terms.mode is MeteringMode.REQUIRED:
        waited = time - at.unreported_since if at.unreported_since else timedelta(0)
        if terms.max_unreported is not None and waited > terms.max_unreported:
            return (
                Reason.UNREPORTED_TOO_LONG,
                f"usage has waited for {waited.days} days, {terms.max_unreported.days} are permitted",
            )
        if terms.max_unreported_bytes is not None and (at.unreported_bytes or 0) > terms.max_unreported_bytes:
            return (
                Reason.UNREPORTED_TOO_LONG,
                f"usage of {at.unreported_bytes} bytes waits, {terms.max_unreported_bytes} are permitted",
            )
    if time - at.now > CLOCK_TOLERANCE:
        return Reason.CLOCK_WOUND_BACK, _two_times(at, time)
    if time < license.not_before:
        return Reason.NOT_YET_VALID, f"it is valid from {_minute(license.not_before)}"
    return None


def _two_times(at: Circumstances, time: datetime) -> str:
    return f"the clock says {_minute(at.now)}, but {_minute(time)} has passed"


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers in front of *version*, four of them, so that 1.2 and 1.2.0 are the same release."""
    match = _RELEASE_NUMBERS.match(version)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    return tuple((numbers + [0] * 4)[:4])


def _day(time: datetime) -> str:
    return time.astimezone(UTC).date().isoformat()


def _minute(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
