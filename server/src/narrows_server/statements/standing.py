"""
Where a statement stands between its two parties: draft → sent → accepted or disputed → superseded.

Pure. Accepted by the customer's word or signature, or by ten days of silence after it was sent; only then may it be
invoiced. A statement is never changed: whatever follows from a dispute or from late records is a new version that
supersedes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

DRAFT_AFTER = timedelta(hours=72)
"""How long after the end of its month a draft is drawn up: CDNs deliver logs up to a day late."""
SILENCE = timedelta(days=10)


class Standing(StrEnum):
    """What both parties may rely on."""

    DRAFT = "draft"
    SENT = "sent"
    ACCEPTED = "accepted"
    DISPUTED = "disputed"
    SUPERSEDED = "superseded"


class Step(StrEnum):
    """What somebody does with a statement."""

    SEND = "send"
    ACCEPT = "accept"  # By the customer, or by the contract if it says that a close is binding.
    DISPUTE = "dispute"
    SUPERSEDE = "supersede"


_STEPS = {
    (Standing.DRAFT, Step.SEND): Standing.SENT,
    (Standing.DRAFT, Step.SUPERSEDE): Standing.SUPERSEDED,
    (Standing.SENT, Step.ACCEPT): Standing.ACCEPTED,
    (Standing.SENT, Step.DISPUTE): Standing.DISPUTED,
    (Standing.SENT, Step.SUPERSEDE): Standing.SUPERSEDED,
    (Standing.DISPUTED, Step.ACCEPT): Standing.ACCEPTED,
    (Standing.DISPUTED, Step.SUPERSEDE): Standing.SUPERSEDED,
    (Standing.ACCEPTED, Step.SUPERSEDE): Standing.SUPERSEDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NotPossible:
    """The step does not lead anywhere from where the statement stands."""

    standing: Standing
    step: Step


def standing_at(standing: Standing, *, sent_at: datetime | None, now: datetime) -> Standing:
    """Where a statement stands *now*, which was last seen as *standing*: silence accepts what was sent."""
    if standing is Standing.SENT and sent_at is not None and now >= sent_at + SILENCE:
        return Standing.ACCEPTED
    return standing


def take(standing: Standing, step: Step, *, sent_at: datetime | None, now: datetime) -> Standing | NotPossible:
    """Where *step*, taken *now*, leads."""
    current = standing_at(standing, sent_at=sent_at, now=now)
    return _STEPS.get((current, step)) or NotPossible(standing=current, step=step)
