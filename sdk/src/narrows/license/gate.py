"""
The gate in front of a new encode: turns the verdict on a license into permission. The one place that raises a refusal.

Asked once, when an encoder opens. A running encode is never stopped, and a decode never comes here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from narrows_licensing.claims import TIME_MAX
from narrows_licensing.document import LicenseFile, OpenedFile, open_file
from narrows_licensing.errors import LicensingError
from narrows_licensing.license import License
from narrows_licensing.policy import Circumstances, evaluate
from narrows_licensing.trust import Roots
from narrows_licensing.verdict import Granted, Reason, Refused

from narrows.errors import LicenseRefused, LicenseUnreadable, UsageError
from narrows.license.identity import identify
from narrows.license.known import open_remembering
from narrows.license.lease import held_lease
from narrows.license.place import take_place
from narrows.license.running import RunningEncode, begin, counted
from narrows.license.seat import HeldSeat, SeatKeeper, World
from narrows.options import Preset
from narrows.settings import Settings
from narrows.usage.unreported import unreported_usage
from narrows.version import RELEASE_DATE, VERSION

if TYPE_CHECKING:
    from narrows_metering.ledger import Ledger  # Who only looks at a license does without its database.

_UNREADABLE = {Reason.NO_LICENSE, Reason.UNREADABLE, Reason.UNTRUSTED_KEY}
PROFILE = "main"  # The bitstream profile that this release writes.
DEVELOPMENT_HINT = "To try without one, run: narrows license development"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What an encoder needs to know of its license."""

    license: License
    token: str
    granted: Granted
    running: RunningEncode | None = None  # Its place among the encodes that run, where the license counts them.
    seat: HeldSeat | None = None  # Where the license floats.

    def release(self) -> None:
        """The encode is over."""
        if self.running is not None:
            self.running.release()
        if self.seat is not None:
            self.seat.close()


def read_roots(settings: Settings) -> Roots | None:
    """The root keys that the settings name; None trusts no vendor, only development licenses."""
    path = settings.roots_path
    if path is None:
        return None
    try:
        return Roots.from_json(path.read_text())
    except (OSError, LicensingError) as error:
        raise LicenseUnreadable(
            Reason.UNTRUSTED_KEY,
            f"can't read the root keys in {path}: {error}",
            next_step="Set NARROWS_ROOTS to the roots.json that came with your license, or unset it.",
        ) from error


def read_license(settings: Settings, at: datetime) -> tuple[str, OpenedFile] | Refused:
    """
    The token and the checked parts of the license file, or why it can't be used.

    What the file teaches about keys and revocations is remembered in the state folder.
    """
    path: Path = settings.license_path
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return Refused(reason=Reason.NO_LICENSE, detail=f"there is no license file at {path}")
    except OSError as error:
        return Refused(reason=Reason.UNREADABLE, detail=f"can't read {path}: {error}")
    roots = read_roots(settings)
    opened = open_remembering(settings.state_folder, lambda known: open_file(text, roots=roots, at=at, known=known))
    if isinstance(opened, Refused):
        return opened
    return LicenseFile.from_json(text).token, opened


def judge(
    settings: Settings,
    *,
    now: datetime,
    latest_time_seen: datetime | None,
    preset: Preset | None,
    pixels: int | None,
    ledger: Ledger | None = None,
    running_encodes: int | None = None,
    lease_until: datetime | None = None,
) -> Permission | Refused:
    """
    The verdict as a value, for `narrows license verify`; `require_permission` raises it.

    Without *lease_until* a floating license is judged by the lease in the state folder, and nobody is asked for one.
    """
    # A key that had ended is not trusted again because the clock was set back.
    read = read_license(settings, max(now, latest_time_seen or now))
    if isinstance(read, Refused):
        return read
    token, opened = read
    terms = opened.license.metering
    waits = None
    if ledger is not None and (terms.max_unreported is not None or terms.max_unreported_bytes is not None):
        waits = unreported_usage(ledger)
    lease = held_lease(settings, opened, at=now) if opened.license.lease is not None else None
    circumstances = Circumstances(
        now=now,
        status=opened.status,
        latest_time_seen=max((time for time in (latest_time_seen, opened.latest_time) if time), default=None),
        release_date=RELEASE_DATE,
        sdk_version=VERSION,
        identity=identify(opened.license.binding, settings, at=now),
        preset=preset.value if preset else None,
        profile=PROFILE,
        pixels=pixels,
        running_encodes=running_encodes,
        lease_until=lease_until or (lease.expires_at if lease else None),
        unreported_since=waits.since if waits else None,
        unreported_bytes=waits.bytes_waiting if waits else None,
    )
    verdict = evaluate(opened.license, circumstances)
    if isinstance(verdict, Refused):
        return verdict
    return Permission(license=opened.license, token=token, granted=verdict)


def require_permission(
    settings: Settings,
    *,
    now: datetime,
    latest_time_seen: datetime | None,
    preset: Preset,
    pixels: int,
    ledger: Ledger | None = None,
    world: World | None = None,
) -> Permission:
    """
    Permission for a new encoder; raises LicenseRefused with the reason and the next step.

    Where the license counts the encodes of a machine, the permission holds a place among them until it is released;
    where it floats, a seat of its pool. Only for a seat is somebody else asked.
    """
    verdict = judge(settings, now=now, latest_time_seen=latest_time_seen, preset=preset, pixels=pixels, ledger=ledger)
    if isinstance(verdict, Permission) and verdict.license.lease is None and _counts_encodes(verdict.license):
        try:
            with counted(settings.state_folder) as running:
                verdict = judge(
                    settings,
                    now=now,
                    latest_time_seen=latest_time_seen,
                    preset=preset,
                    pixels=pixels,
                    ledger=ledger,
                    running_encodes=running,
                )
                if isinstance(verdict, Permission):
                    verdict = replace(verdict, running=begin(settings.state_folder))
        except (OSError, ImportError) as error:
            raise UsageError(f"can't count the encodes that run in {settings.state_folder}: {error}") from error
    elif _floats(verdict):
        seat = _take_seat(settings, max(now, latest_time_seen or now), world or World())
        if isinstance(seat, Refused):
            verdict = seat
        else:
            verdict = judge(
                settings,
                now=now,
                latest_time_seen=latest_time_seen,
                preset=preset,
                pixels=pixels,
                ledger=ledger,
                lease_until=TIME_MAX,  # It permits this start, whatever the ledger has seen of later times.
            )
            if isinstance(verdict, Permission):
                verdict = replace(verdict, seat=seat)
            else:
                seat.close()
    if isinstance(verdict, Refused):
        raise refusal(verdict, settings.license_path)
    return verdict


def _floats(verdict: Permission | Refused) -> bool:
    if isinstance(verdict, Permission):
        return verdict.license.lease is not None
    return verdict.reason is Reason.NO_SEAT


def _take_seat(settings: Settings, at: datetime, world: World) -> HeldSeat | Refused:
    """A seat that permits a start now, or why there is none."""
    read = read_license(settings, at)
    if isinstance(read, Refused):
        return read
    token, opened = read
    license_id = opened.license.license_id
    try:
        place = take_place(settings.state_folder)
    except OSError as error:
        raise UsageError(f"can't keep a place among the encodes in {settings.state_folder}: {error}") from error
    if place is None:
        return Refused(reason=Reason.NO_SEAT, detail="too many encodes run on this machine", license_id=license_id)
    seat = HeldSeat(SeatKeeper(settings, opened, token, place=place, world=world))
    if seat.until is None:
        seat.close()
        return Refused(reason=Reason.NO_SEAT, detail=seat.detail, license_id=license_id)
    return seat


def _counts_encodes(license: License) -> bool:
    return license.entitlements.max_concurrent_encodes is not None


def refusal(refused: Refused, license_path: Path) -> LicenseRefused:
    """The exception for a refusal."""
    kind = LicenseUnreadable if refused.reason in _UNREADABLE else LicenseRefused
    next_step = refused.next_step
    if refused.reason is Reason.NO_LICENSE:
        next_step = f"{next_step} {DEVELOPMENT_HINT}"
    where = "" if str(license_path) in refused.detail else f"; license file {license_path}"
    message = f"{refused.sentence} ({refused.detail}{where})"
    return kind(refused.reason, message, next_step=next_step, license_id=refused.license_id)
