"""When to try again, and when to stop. The delays are those that Standard Webhooks recommends."""

from __future__ import annotations

from datetime import datetime, timedelta

DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
ATTEMPTS_MAX = len(DELAYS) + 1
JITTER = 0.2  # Of the delay, either way: what failed together does not come back together.
DISABLED_AFTER = timedelta(days=5)


def next_attempt(attempts: int, *, at: datetime, chance: float) -> datetime | None:
    """
    When to try again after so many failed attempts; None after the last. *chance* from 0 to 1 decides on the jitter.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    return at + DELAYS[attempts - 1] * (1 - JITTER + 2 * JITTER * chance)


def has_failed_for_too_long(failing_since: datetime | None, *, at: datetime) -> bool:
    """Whether a webhook has answered nothing for so long that it is disabled."""
    return failing_since is not None and at >= failing_since + DISABLED_AFTER
