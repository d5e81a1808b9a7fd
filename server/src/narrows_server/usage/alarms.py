"""
What a person should look at among the installations: contradictions, missing records, silence.

Derived from the books whenever somebody looks, so an alarm is gone when its cause is. Contradictions stay: what was
once reported twice differently is never settled by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from narrows_server import wording
from narrows_server.usage.models import OpenGap
from narrows_server.usage.repository import InstallationOverview
from narrows_server.usage.service import Standing, standing


class Cause(StrEnum):
    """Why there is an alarm."""

    CONFLICT = "conflict"
    GAP = "gap"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One thing to look at."""

    cause: Cause
    installation_id: str
    customer_id: str
    detail: str
    since: datetime


def alarms(overviews: Sequence[InstallationOverview], gaps: Sequence[OpenGap], *, at: datetime) -> list[Alarm]:
    """Everything to look at, contradictions first. *gaps* are all open ones, also of installations not known yet."""
    heads = {overview.installation.id: overview.installation.head_seq for overview in overviews}
    return [
        *(_conflict(overview) for overview in overviews if overview.fork_count),
        *(_gap(gap, heads.get(gap.installation_id, 0)) for gap in gaps),
        *(_silence(overview) for overview in overviews if standing(overview, at) is Standing.SILENT),
    ]


def missing(head_seq: int, last_missing: int) -> str:
    """`813–815`, or `813` for one."""
    first, last = wording.exact(head_seq + 1), wording.exact(last_missing)
    return first if first == last else f"{first}–{last}"


def _conflict(overview: InstallationOverview) -> Alarm:
    installation = overview.installation
    assert overview.forked_at is not None
    outcome = "the copy goes on under a name of its own" if overview.continued_as else "counted nowhere"
    records = "a record contradicts" if overview.fork_count == 1 else f"{overview.fork_count} records contradict"
    return Alarm(
        cause=Cause.CONFLICT,
        installation_id=installation.id,
        customer_id=installation.customer_id,
        detail=f"{records} what was reported before; {outcome}",
        since=overview.forked_at,
    )


def _gap(gap: OpenGap, head_seq: int) -> Alarm:
    return Alarm(
        cause=Cause.GAP,
        installation_id=gap.installation_id,
        customer_id=gap.customer_id,
        detail=f"complete to {wording.exact(head_seq)}, missing {missing(head_seq, gap.last_missing)}",
        since=gap.seen_at,
    )


def _silence(overview: InstallationOverview) -> Alarm:
    installation = overview.installation
    return Alarm(
        cause=Cause.SILENT,
        installation_id=installation.id,
        customer_id=installation.customer_id,
        detail=f"nothing new after record {wording.exact(installation.head_seq)}",
        since=installation.reported_at,
    )
