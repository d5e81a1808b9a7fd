"""
What a person should look at: pure functions from rows and the time to findings.

A finding is gone when its cause is. Forks stay: what was once reported twice differently is never settled by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import fmean
from types import MappingProxyType

from narrows_server import wording
from narrows_server.licenses.models import IssuedLicense
from narrows_server.usage.models import Installation, OpenGap
from narrows_server.usage.standing import SILENT_AFTER

EXPIRES_WITHIN = timedelta(days=30)
MONTHS_BEFORE = 3  # With which the latest month is compared, …
MONTHS_BEFORE_MIN = 2  # … if there are as many as this.
SPEND_PER_CENT = 150  # Of the months before.
DRIFT_PER_MILLE = 50  # Of what the baseline needs: five percentage points.


class Cause(StrEnum):
    """Why there is an alert; what touches the books most comes first."""

    FORK = "fork"
    GAP = "gap"
    SILENT = "silent"
    EXPIRING = "expiring"
    SPEND = "spend"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to look at. Cause and subject tell it apart from every other."""

    cause: Cause
    subject: str  # The id of an installation, a license or a contract.
    customer_id: str
    detail: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked:
    """How often an installation contradicted itself, and when last."""

    installation: Installation
    fork_count: int
    forked_at: datetime
    continued_as: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """What a statement says of a month under one contract."""

    contract_id: str
    customer_id: str
    period: str
    drawn_up_at: datetime
    currency: str
    share_minor: int
    saved_bytes: int
    baseline_bytes: int

    @property
    def saved_per_mille(self) -> int:
        """Of what the baseline needs; 0 where it needs nothing."""
        return self.saved_bytes * 1000 // self.baseline_bytes if self.baseline_bytes else 0


def forks(forked: Sequence[Forked]) -> list[Finding]:
    """Installations of which there are two: a copied machine, a restored backup."""
    return [
        Finding(
            cause=Cause.FORK,
            subject=one.installation.id,
            customer_id=one.installation.customer_id,
            detail=("a record contradicts" if one.fork_count == 1 else f"{one.fork_count} records contradict")
            + " what was reported before; "
            + ("the copy goes on under a name of its own" if one.continued_as else "counted nowhere"),
            since=one.forked_at,
        )
        for one in forked
    ]


def gaps(open_gaps: Sequence[OpenGap], heads: Mapping[str, int]) -> list[Finding]:
    """Installations that must have records that we lack. *heads*: the last record known of each that is known."""
    return [
        Finding(
            cause=Cause.GAP,
            subject=gap.installation_id,
            customer_id=gap.customer_id,
            detail=f"complete to {wording.exact(head)}, missing {wording.missing(head, gap.last_missing)}",
            since=gap.seen_at,
        )
        for gap in open_gaps
        for head in (heads.get(gap.installation_id, 0),)
    ]


def silences(installations: Sequence[Installation], *, excused: Collection[str], at: datetime) -> list[Finding]:
    """Installations that have said nothing for a day. *excused*: those that others continue, or whose gap says more."""
    return [
        Finding(
            cause=Cause.SILENT,
            subject=installation.id,
            customer_id=installation.customer_id,
            detail=f"nothing new after record {wording.exact(installation.head_seq)}",
            since=installation.reported_at,
        )
        for installation in installations
        if at - installation.reported_at >= SILENT_AFTER and installation.id not in excused
    ]


def expiries(licenses: Sequence[IssuedLicense], *, renewed: Collection[str], at: datetime) -> list[Finding]:
    """Licenses that end within a month, or have ended and are in their grace, and that nobody has renewed."""
    return [
        Finding(
            cause=Cause.EXPIRING,
            subject=license.id,
            customer_id=license.customer_id,
            detail=f"expires on {wording.day(license.expires_at)}"
            if at < license.expires_at
            else f"expired on {wording.day(license.expires_at)}, works until "
            f"{wording.day(license.expires_at + license.grace)}",
            since=license.expires_at - EXPIRES_WITHIN,
        )
        for license in licenses
        if license.revoked_at is None
        and license.id not in renewed
        and license.expires_at - EXPIRES_WITHIN <= at < license.expires_at + license.grace
    ]


def spends(months: Sequence[Month], limits: Mapping[str, int] = MappingProxyType({})) -> list[Finding]:
    """Contracts whose latest month costs more than its limit, or half as much again as the months before."""
    found = _over_limits(months, limits)
    told = {finding.subject for finding in found}
    for latest, before in _latest_and_before(months):
        usual = sum(month.share_minor for month in before)
        if (
            latest.contract_id not in told
            and usual > 0
            and latest.share_minor * len(before) * 100 > usual * SPEND_PER_CENT
        ):
            amount, was = (
                wording.money(minor, latest.currency) for minor in (latest.share_minor, usual // len(before))
            )
            found.append(_about(Cause.SPEND, latest, f"{amount} for {wording.month(latest.period)}, {was} before"))
    return found


def _over_limits(months: Sequence[Month], limits: Mapping[str, int]) -> list[Finding]:
    found = []
    for latest in _latest(months):
        limit = limits.get(latest.contract_id)
        if limit is not None and latest.share_minor > limit:
            amount, most = (wording.money(minor, latest.currency) for minor in (latest.share_minor, limit))
            found.append(
                _about(Cause.SPEND, latest, f"{amount} for {wording.month(latest.period)}, the limit is {most}")
            )
    return found


def drifts(months: Sequence[Month]) -> list[Finding]:
    """Contracts whose latest month saves much more or less than the months before."""
    found = []
    for latest, before in _latest_and_before([month for month in months if month.baseline_bytes > 0]):
        usual = round(fmean(month.saved_per_mille for month in before))
        if abs(latest.saved_per_mille - usual) > DRIFT_PER_MILLE:
            now, was = (wording.per_cent(share, 1000) for share in (latest.saved_per_mille, usual))
            found.append(_about(Cause.DRIFT, latest, f"{now} saved in {wording.month(latest.period)}, {was} before"))
    return found


def _latest(months: Sequence[Month]) -> list[Month]:
    """The latest month of each contract."""
    return list({month.contract_id: month for month in sorted(months, key=lambda month: month.period)}.values())


def _latest_and_before(months: Sequence[Month]) -> list[tuple[Month, list[Month]]]:
    """For each contract with enough months its latest, and those before in the same currency."""
    by_contract: dict[str, list[Month]] = {}
    for month in sorted(months, key=lambda month: month.period, reverse=True):
        by_contract.setdefault(month.contract_id, []).append(month)
    found = []
    for latest, *earlier in by_contract.values():
        before = [month for month in earlier if month.currency == latest.currency][:MONTHS_BEFORE]
        if len(before) >= MONTHS_BEFORE_MIN:
            found.append((latest, before))
    return found


def _about(cause: Cause, month: Month, detail: str) -> Finding:
    return Finding(
        cause=cause,
        subject=month.contract_id,
        customer_id=month.customer_id,
        detail=detail,
        since=month.drawn_up_at,
    )
