"""
What is the matter with the license here: one code, what was checked to find it, and what to do.

Looks at the same things as the gate, one after the other, and changes nothing that matters: an engineer runs it on a
machine in production. It opens no connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from narrows_licensing.binding import UNBOUND
from narrows_licensing.document import OpenedFile
from narrows_licensing.revocation import Status
from narrows_licensing.verdict import Granted, Refused, State

from narrows.errors import NarrowsError
from narrows.finding import Finding, Outcome
from narrows.installation import key_path
from narrows.license.gate import Permission, judge, read_license, read_roots
from narrows.license.known import memory_path, read_known
from narrows.license.lease import held_lease
from narrows.settings import Settings
from narrows.usage.unreported import unreported_usage

_Saw = Callable[[str, Outcome, str, str | None], None]

BUNDLE_ENDS_SOON: Final = timedelta(days=90)
_WITHOUT_ONE: Final = "narrows license activate FILE; to try without one: narrows license development"
_ASK_FOR_A_CURRENT_FILE: Final = "ask your vendor for a current license file, then: narrows license activate FILE"

EXIT_PERMITTED = 0
EXIT_REFUSED = 1
EXIT_ACT_SOON = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """*code* is a reason or a state of `narrows_licensing.verdict`, or "usage_unavailable"."""

    code: str
    sentence: str
    next_step: str
    detail: str | None
    exit_code: int
    findings: tuple[Finding, ...]


def diagnose(settings: Settings, *, at: datetime) -> Diagnosis:
    """Look at everything that a new encode would depend on."""
    findings: list[Finding] = []

    def saw(check: str, outcome: Outcome, detail: str, todo: str | None) -> None:
        findings.append(Finding(check=check, outcome=outcome, detail=detail, todo=todo))

    try:
        roots = read_roots(settings)
        if roots:
            seen = f"{roots.threshold} of {len(roots.keys)} must sign, from {settings.roots_path}"
            saw("root keys", Outcome.GOOD, seen, None)
        else:
            todo = "for a license of your vendor's: set NARROWS_ROOTS to the file with the vendor's root keys"
            saw("root keys", Outcome.SKIPPED, "none: only development licenses are trusted", todo)
        read = read_license(settings, at)
        if isinstance(read, Refused):
            saw("license file", Outcome.BAD, read.detail, _WITHOUT_ONE)
        else:
            _look_at_documents(settings, read[1], at, saw)
        verdict = _verdict(settings, at, saw)
    except NarrowsError as error:
        saw("this machine", Outcome.BAD, str(error), "put right what it names")
        return Diagnosis(
            code="usage_unavailable",
            sentence="The license can't be judged, because something on this machine can't be used.",
            next_step="Put right what the last check names.",
            detail=str(error),
            exit_code=EXIT_REFUSED,
            findings=tuple(findings),
        )
    return _diagnosis(verdict, tuple(findings))


def _look_at_documents(settings: Settings, opened: OpenedFile, at: datetime, saw: _Saw) -> None:
    license, bundle, revocations = opened.license, opened.bundle, opened.revocations
    saw("license file", Outcome.GOOD, f"{license.kind} license {license.license_id} in {settings.license_path}", None)
    if bundle is None:
        saw("trust bundle", Outcome.SKIPPED, "a development license needs none", None)
    else:
        seen = f"version {bundle.version}, until {bundle.expires_at:%Y-%m-%d}"
        if bundle.expires_at - at < BUNDLE_ENDS_SOON:
            saw("trust bundle", Outcome.NOTICE, seen, _ASK_FOR_A_CURRENT_FILE)
        else:
            saw("trust bundle", Outcome.GOOD, seen, None)
        where = memory_path(settings.state_folder)
        if read_known(settings.state_folder).bundle is None:
            saw("memory", Outcome.NOTICE, f"{where} can not be kept", f"make {where.parent} writable")
        else:
            saw("memory", Outcome.GOOD, str(where), None)
        if revocations is None:
            saw("revocation list", Outcome.NOTICE, "none was seen yet", _ASK_FOR_A_CURRENT_FILE)
        else:
            seen = f"version {revocations.version} of {revocations.issued_at:%Y-%m-%d}: {opened.status.name.lower()}"
            if opened.status is Status.GOOD:
                saw("revocation list", Outcome.GOOD, seen, None)
            else:
                saw("revocation list", Outcome.BAD, seen, "ask your vendor why, and for a replacement")
    ends = f"from {license.not_before:%Y-%m-%d} to {license.expires_at:%Y-%m-%d}, grace {license.grace.days} days"
    if license.not_before <= at < license.expires_at:
        saw("period", Outcome.GOOD, ends, None)
    else:
        saw("period", Outcome.NOTICE, ends, "look at the clock; if it is right, ask your vendor to renew the license")
    kind = license.binding.claims()["kind"]
    saw("binding", Outcome.SKIPPED if license.binding == UNBOUND else Outcome.GOOD, str(kind), None)
    if license.lease is not None:
        lease = held_lease(settings, opened, at=at)
        if lease:
            saw("lease", Outcome.GOOD, f"until {lease.expires_at:%Y-%m-%d %H:%M} UTC", None)
        else:
            saw(
                "lease",
                Outcome.BAD,
                "none is held",
                "start an encode with a way to the server, or: narrows license borrow",
            )


def _verdict(settings: Settings, at: datetime, saw: _Saw) -> Permission | Refused:
    if not key_path(settings.state_folder).exists():
        saw("usage", Outcome.SKIPPED, f"nothing was recorded in {settings.state_folder} yet", None)
        return judge(settings, now=at, latest_time_seen=None, preset=None, pixels=None)
    from narrows.usage.machine import open_meter  # The ledger's database takes longer to load than all the rest.

    with open_meter(settings) as meter:
        waits, latest = unreported_usage(meter.ledger), meter.latest_time_seen()
        since = f"since {waits.since:%Y-%m-%d}" if waits.since else "nothing"
        saw("unreported usage", Outcome.GOOD, f"{waits.bytes_waiting} bytes wait, {since}", None)
        if latest is not None and latest > at:
            seen = f"{latest:%Y-%m-%d %H:%M} UTC was recorded already, and the clock says {at:%Y-%m-%d %H:%M}"
            saw("recorded time", Outcome.NOTICE, seen, "set the clock; if it is right now: narrows usage report")
        else:
            saw("recorded time", Outcome.GOOD, f"up to {latest:%Y-%m-%d %H:%M} UTC" if latest else "none yet", None)
        return judge(settings, now=at, latest_time_seen=latest, preset=None, pixels=None, ledger=meter.ledger)


def _diagnosis(verdict: Permission | Refused, findings: tuple[Finding, ...]) -> Diagnosis:
    if isinstance(verdict, Refused):
        return Diagnosis(
            code=verdict.reason.value,
            sentence=verdict.sentence,
            next_step=verdict.next_step,
            detail=verdict.detail,
            exit_code=EXIT_REFUSED,
            findings=findings,
        )
    granted: Granted = verdict.granted
    return Diagnosis(
        code=granted.state.value,
        sentence=granted.sentence,
        next_step=granted.next_step,
        detail=f"until {granted.until:%Y-%m-%d}",
        exit_code=EXIT_PERMITTED if granted.state is State.VALID else EXIT_ACT_SOON,
        findings=findings,
    )
