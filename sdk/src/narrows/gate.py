"""
The gate in front of a new encode: turns the verdict on a license into permission. The one place that raises a refusal.

Asked once, when an encoder opens. A running encode is never stopped, and a decode never comes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from narrows_licensing.document import LicenseFile, OpenedFile, open_file
from narrows_licensing.errors import LicensingError
from narrows_licensing.license import License
from narrows_licensing.policy import Circumstances, evaluate
from narrows_licensing.trust import Roots
from narrows_licensing.verdict import Granted, Reason, Refused

from narrows.errors import LicenseRefused, LicenseUnreadable
from narrows.options import Preset
from narrows.settings import Settings
from narrows.version import VERSION

_UNREADABLE = {Reason.NO_LICENSE, Reason.UNREADABLE, Reason.UNTRUSTED_KEY}
DEVELOPMENT_HINT = "To try without one, run: narrows license development"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What an encoder needs to know of its license."""

    license: License
    token: str
    granted: Granted


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
    """The token and the checked parts of the license file, or why it can't be used."""
    path: Path = settings.license_path
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return Refused(reason=Reason.NO_LICENSE, detail=f"there is no license file at {path}")
    except OSError as error:
        return Refused(reason=Reason.UNREADABLE, detail=f"can't read {path}: {error}")
    opened = open_file(text, roots=read_roots(settings), at=at)
    if isinstance(opened, Refused):
        return opened
    return LicenseFile.from_json(text).token, opened


def judge(
    settings: Settings, *, now: datetime, latest_time_seen: datetime | None, preset: Preset | None, pixels: int | None
) -> Permission | Refused:
    """The verdict as a value, for `narrows license verify`; `require_permission` raises it."""
    read = read_license(settings, now)
    if isinstance(read, Refused):
        return read
    token, opened = read
    circumstances = Circumstances(
        now=now,
        revoked=opened.revocations.license_ids if opened.revocations else frozenset(),
        latest_time_seen=latest_time_seen,
        sdk_version=VERSION,
        preset=preset.value if preset else None,
        pixels=pixels,
    )
    verdict = evaluate(opened.license, circumstances)
    if isinstance(verdict, Refused):
        return verdict
    return Permission(license=opened.license, token=token, granted=verdict)


def require_permission(
    settings: Settings, *, now: datetime, latest_time_seen: datetime | None, preset: Preset, pixels: int
) -> Permission:
    """Permission for a new encoder; raises LicenseRefused with the reason and the next step."""
    verdict = judge(settings, now=now, latest_time_seen=latest_time_seen, preset=preset, pixels=pixels)
    if isinstance(verdict, Refused):
        raise refusal(verdict, settings.license_path)
    return verdict


def refusal(refused: Refused, license_path: Path) -> LicenseRefused:
    """The exception for a refusal."""
    kind = LicenseUnreadable if refused.reason in _UNREADABLE else LicenseRefused
    next_step = refused.next_step
    if refused.reason is Reason.NO_LICENSE:
        next_step = f"{next_step} {DEVELOPMENT_HINT}"
    where = "" if str(license_path) in refused.detail else f"; license file {license_path}"
    message = f"{refused.sentence} ({refused.detail}{where})"
    return kind(refused.reason, message, next_step=next_step, license_id=refused.license_id)
