"""
What is the matter with the license here: one code, what was checked to find it, and what to do.

Looks at the same things as the gate, one after the other, and changes nothing that matters: an engineer runs it on a
machine in production. It opens no connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from narrows_licensing.binding import UNBOUND
from narrows_licensing.document import OpenedFile
from narrows_licensing.verdict import Granted, Refused, State

from narrows.errors import NarrowsError
from narrows.installation import key_path
from narrows.license.gate import Permission, judge, read_license, read_roots
from narrows.license.known import memory_path, read_known
from narrows.license.lease import held_lease
from narrows.settings import Settings
from narrows.usage.unreported import unreported_usage

_Saw = Callable[[str, "Outcome", str], None]

EXIT_PERMITTED = 0
EXIT_REFUSED = 1
EXIT_ACT_SOON = 3


class Outcome(StrEnum):
    """How one check came out."""

    GOOD = "good"
    NOTICE = "notice"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at, and what was seen."""

    name: str
    outcome: Outcome
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """*code* is a reason or a state of `narrows_licensing.verdict`, or "usage_unavailable"."""

    code: str
    sentence: str
    next_step: str
    detail: str | None
    exit_code: int
    checks: tuple[Check, ...]


def diagnose(settings: Settings, *, at: datetime) -> Diagnosis:
    """Look at everything that a new encode would depend on."""
    checks: list[Check] = []

    def saw(name: str, outcome: Outcome, seen: str) -> None:
        checks.append(Check(name=name, outcome=outcome, seen=seen))

    try:
        roots = read_roots(settings)
        saw(
            "root keys",
            Outcome.GOOD if roots else Outcome.NOTICE,
            f"{roots.threshold} of {len(roots.keys)} must sign, from {settings.roots_path}"
            if roots
            else "none: only development licenses are trusted (NARROWS_ROOTS is not set)",
        )
        read = read_license(settings, at)
        if isinstance(read, Refused):
            saw("license file", Outcome.BAD, read.detail)
        else:
            _look_at_documents(settings, read[1], at, saw)
        verdict = _verdict(settings, at, saw)
    except NarrowsError as error:
        saw("this machine", Outcome.BAD, str(error))
        return Diagnosis(
            code="usage_unavailable",
            sentence="The license can't be judged, because something on this machine can't be used.",
            next_step="Put right what the last check names.",
            detail=str(error),
            exit_code=EXIT_REFUSED,
            checks=tuple(checks),
        )
    return _diagnosis(verdict, tuple(checks))


def _look_at_documents(settings: Settings, opened: OpenedFile, at: datetime, saw: _Saw) -> None:
    license, bundle, revocations = opened.license, opened.bundle, opened.revocations
    saw("license file", Outcome.GOOD, f"{license.kind} license {license.license_id} in {settings.license_path}")
    if bundle is None:
        saw("trust bundle", Outcome.SKIPPED, "a development license needs none")
    else:
        left = bundle.expires_at - at
        soon = Outcome.NOTICE if left.days < 90 else Outcome.GOOD
        saw("trust bundle", soon, f"version {bundle.version}, until {bundle.expires_at:%Y-%m-%d}")
        known = read_known(settings.state_folder)
        where = memory_path(settings.state_folder)
        is_kept = known.bundle is not None
        saw("memory", Outcome.GOOD if is_kept else Outcome.NOTICE, f"{where}{'' if is_kept else ' can not be kept'}")
        if revocations is None:
            saw("revocation list", Outcome.NOTICE, "none was seen yet")
        else:
            outcome = Outcome.GOOD if opened.status.name == "GOOD" else Outcome.BAD
            seen = f"version {revocations.version} of {revocations.issued_at:%Y-%m-%d}: {opened.status.name.lower()}"
            saw("revocation list", outcome, seen)
    ends = f"from {license.not_before:%Y-%m-%d} to {license.expires_at:%Y-%m-%d}, grace {license.grace.days} days"
    is_running = license.not_before <= at < license.expires_at
    saw("period", Outcome.GOOD if is_running else Outcome.NOTICE, ends)
    kind = license.binding.claims()["kind"]
    saw("binding", Outcome.SKIPPED if license.binding == UNBOUND else Outcome.GOOD, str(kind))
    if license.lease is not None:
        lease = held_lease(settings, opened, at=at)
        seen = f"until {lease.expires_at:%Y-%m-%d %H:%M} UTC" if lease else "none is held"
        saw("lease", Outcome.GOOD if lease else Outcome.BAD, seen)


def _verdict(settings: Settings, at: datetime, saw: _Saw) -> Permission | Refused:
    if not key_path(settings.state_folder).exists():
        saw("usage", Outcome.SKIPPED, f"nothing was recorded in {settings.state_folder} yet")
        return judge(settings, now=at, latest_time_seen=None, preset=None, pixels=None)
    from narrows.usage.machine import open_meter  # The ledger's database takes longer to load than all the rest.

    with open_meter(settings) as meter:
        waits, latest = unreported_usage(meter.ledger), meter.latest_time_seen()
        since = f"since {waits.since:%Y-%m-%d}" if waits.since else "nothing"
        saw("unreported usage", Outcome.GOOD, f"{waits.bytes_waiting} bytes wait, {since}")
        behind = latest is not None and latest > at
        seen = f", latest seen {latest:%Y-%m-%d %H:%M}" if latest else ""
        saw("clock", Outcome.NOTICE if behind else Outcome.GOOD, f"{at:%Y-%m-%d %H:%M} UTC{seen}")
        return judge(settings, now=at, latest_time_seen=latest, preset=None, pixels=None, ledger=meter.ledger)


def _diagnosis(verdict: Permission | Refused, checks: tuple[Check, ...]) -> Diagnosis:
    if isinstance(verdict, Refused):
        return Diagnosis(
            code=verdict.reason.value,
            sentence=verdict.sentence,
            next_step=verdict.next_step,
            detail=verdict.detail,
            exit_code=EXIT_REFUSED,
            checks=checks,
        )
    granted: Granted = verdict.granted
    return Diagnosis(
        code=granted.state.value,
        sentence=granted.sentence,
        next_step=granted.next_step,
        detail=f"until {granted.until:%Y-%m-%d}",
        exit_code=EXIT_PERMITTED if granted.state is State.VALID else EXIT_ACT_SOON,
        checks=checks,
    )
