"""
The clock of this machine, and the one of a server that answers for days: it notices when the time jumps.

Receipts, leases, acceptance by silence and idempotency keys go by the time. A server that goes on under a clock that is
hours or months off would give one seat to two, forget what it has done already, and tell customers' machines that a
time has passed which has not. So it does nothing until the clock is back, or until somebody starts it anew, who thereby
says that the clock is right. Reports wait meanwhile in the ledgers of those who send them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from narrows_server.errors import ClockInDoubt

JUMP_MAX: Final = timedelta(minutes=5)  # More than what a clock that is kept by NTP is ever set by while it runs.

logger = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(UTC)


def uptime_seconds() -> float:
    """Of this machine; nobody sets it, and it goes on while the machine sleeps, where the system has such a count."""
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):  # Linux; macOS, where it counts sleep.
        if hasattr(time, name):
            return time.clock_gettime(getattr(time, name))
    return time.monotonic()


class WatchedClock:
    """
    Gives the time as long as it passes as fast as the machine's uptime. Every thread may share it.

    It can be pickled, so that a worker that is started later goes by the time at which the server was started.
    """

    def __init__(self, *, wall: Callable[[], datetime] = utc_now, uptime: Callable[[], float] = uptime_seconds) -> None:
        self._wall, self._uptime = wall, uptime
        self._good = wall(), uptime()
        self._is_in_doubt = False

    def __call__(self) -> datetime:
        """The time, aware and in UTC. Raises `ClockInDoubt`."""
        now, uptime = self._wall(), self._uptime()
        good_wall, good_uptime = self._good
        jump = now - good_wall - timedelta(seconds=uptime - good_uptime)
        if abs(jump) > JUMP_MAX:
            error = ClockInDoubt(
                f"the clock of this server says {now:%Y-%m-%d %H:%M} UTC, {_said(jump)} what it should say. Nothing "
                "was done. Set it; or, if it is right now, start the server anew"
            )
            if not self._is_in_doubt:
                self._is_in_doubt = True
                logger.critical("%s", error.detail)
            raise error
        if self._is_in_doubt:
            self._is_in_doubt = False
            logger.warning("the clock of this server is right again")
        # Small corrections add up over the years; what counts is how the time passed since it was last looked at.
        self._good = now, uptime
        return now


def _said(jump: timedelta) -> str:
    amount = abs(jump)
    shown = f"{amount.days} d" if amount.days else f"{amount.total_seconds() / 3600:.1f} h"
    return f"{shown} {'after' if jump > timedelta(0) else 'before'}"
