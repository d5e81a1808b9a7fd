"""
How long to leave a server alone after it failed: pure arithmetic, no clock, no thread, no network.

Exponential with full jitter, so that ten thousand installations that lost the same server don't come back in step.
What the server itself asks for (`Retry-After`) comes on top, up to a bound: no header may silence a reporter for good.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

BACKOFF_FIRST: Final = timedelta(seconds=2)
BACKOFF_MAX: Final = timedelta(minutes=15)
RETRY_AFTER_MAX: Final = timedelta(hours=1)

_HEADER_CHARACTERS_MAX: Final = 64
_DOUBLINGS_MAX: Final = 16  # BACKOFF_MAX is reached long before; keeps the power small.


def retry_delay(failure_count: int, *, chance: float, retry_after: timedelta | None = None) -> timedelta:
    """
    The wait after *failure_count* failures in a row, the first being 1; *chance* is drawn from [0, 1).

    >>> retry_delay(3, chance=0.5)
    datetime.timedelta(seconds=4)
    """
    assert failure_count >= 1
    doublings = min(failure_count - 1, _DOUBLINGS_MAX)
    bound = min(BACKOFF_MAX, BACKOFF_FIRST * (1 << doublings))
    asked = min(max(retry_after or timedelta(0), timedelta(0)), RETRY_AFTER_MAX)
    return asked + bound * chance


def read_retry_after(text: str | None, *, now: datetime) -> timedelta | None:
    """
    What a `Retry-After` header asks for (RFC 9110 §10.2.3), seconds or a date; at most RETRY_AFTER_MAX.

    None for no header and for one that says nothing readable. *now* is the time of the server that sent it, best of
    all: its clock and ours need not agree.
    """
    if text is None or len(text) > _HEADER_CHARACTERS_MAX:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        # Longer numbers than a timedelta takes mean the bound as well.
        seconds = int(text[:10]) if len(text) <= 10 else 10**10
        return min(RETRY_AFTER_MAX, timedelta(seconds=min(seconds, RETRY_AFTER_MAX.total_seconds())))
    time = read_http_date(text)
    return None if time is None else min(max(time - now, timedelta(0)), RETRY_AFTER_MAX)


def read_http_date(text: str | None) -> datetime | None:
    """A date as HTTP writes it, in any of its three forms; None if it is none."""
    if text is None or len(text) > _HEADER_CHARACTERS_MAX:
        return None
    try:
        time = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # A date without a zone is in UTC: the oldest of the three forms has none.
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
