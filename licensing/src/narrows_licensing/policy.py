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

from narrows_licensing.license import Kind, License
from narrows_licensing.verdict import Granted, Reason, Refused, State

EXPIRY_NOTICE: Final = timedelta(days=30)
CLOCK_TOLERANCE: Final = timedelta(hours=24)  # Covers daylight saving, wrong zones and a late NTP.

_RELEASE_NUMBERS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the decision depends on besides the license. None leaves the matter out of the decision."""

    now: datetime  # What the clock of this computer says; aware.
    revoked: frozenset[str] = frozenset()  # License ids.
    latest_time_seen: datetime | None = None  # The latest time that is known to have passed: receipts, the ledger.
    release_date: date | None = None  # Of this SDK.
    sdk_version: str | None = None  # Of this SDK, such as "0.1.0"; a suffix behind the numbers is ignored.
    preset: str | None = None  # The encoder preset asked for.
    pixels: int | None = None  # Width × height of one frame.


def evaluate(license: License, at: Circumstances) -> Granted | Refused:
    """
    Decide whether *license* permits encoding in the circumstances *at*.

    Checks run from the most to the least permanent reason, so that the one reported is the one worth fixing first.
    """

    def refused(reason: Reason, detail: str) -> Refused:
        return Refused(reason=reason, detail=detail, license_id=license.license_id)

    # A clock can be set back, time can't: it is at least as late as everything that is known to have happened.
    # That also lets a license work on the minute it was issued, on a machine whose clock is slightly slow.
    time = max(at.now, license.issued_at, at.latest_time_seen or at.now)
    end = license.expires_at + license.grace

    if license.license_id in at.revoked:
        return refused(Reason.REVOKED, f"license {license.license_id} is on the revocation list")
    if time >= end:
        return refused(Reason.EXPIRED, f"it expired on {_day(license.expires_at)}, its grace period on {_day(end)}")
    if license.maintenance_until and at.release_date and at.release_date > license.maintenance_until:
        return refused(
            Reason.MAINTENANCE_ENDED,
            f"this release is of {at.release_date.isoformat()}, "
            f"maintenance ended on {license.maintenance_until.isoformat()}",
        )
    if at.sdk_version is not None and _release(at.sdk_version) < _release(license.sdk_min):
        return refused(Reason.SDK_TOO_OLD, f"this is release {at.sdk_version}, the license needs {license.sdk_min}")
    if not license.entitlements.encode:
        return refused(Reason.NOT_ENTITLED, "the license does not include encoding")
    if at.preset is not None and at.preset not in license.entitlements.presets:
        included = ", ".join(license.entitlements.presets) or "none"
        return refused(Reason.NOT_ENTITLED, f"preset {at.preset} is not among those included: {included}")
    if at.pixels is not None and at.pixels > license.entitlements.max_pixels:
        return refused(
            Reason.OVER_LIMIT,
            f"a frame of {at.pixels} pixels was asked for, the limit is {license.entitlements.max_pixels}",
        )
    if time - at.now > CLOCK_TOLERANCE:
        return refused(Reason.CLOCK_WOUND_BACK, f"the clock says {_minute(at.now)}, but {_minute(time)} has passed")
    if time < license.not_before:
        return refused(Reason.NOT_YET_VALID, f"it is valid from {_minute(license.not_before)}")

    in_grace = time >= license.expires_at
    is_expiring = time >= license.expires_at - EXPIRY_NOTICE
    return Granted(
        license_id=license.license_id,
        state=State.GRACE if in_grace else State.EXPIRING if is_expiring else State.VALID,
        until=end if in_grace else license.expires_at,
        is_development=license.kind is Kind.DEVELOPMENT,
    )


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers in front of *version*, four of them, so that 1.2 and 1.2.0 are the same release."""
    match = _RELEASE_NUMBERS.match(version)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    return tuple((numbers + [0] * 4)[:4])


def _day(time: datetime) -> str:
    return time.astimezone(UTC).date().isoformat()


def _minute(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
