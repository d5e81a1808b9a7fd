"""
Closing a month while people look on: the service that the command line uses, in a thread, with how far it is.

What is done is in the database, contract by contract; this remembers only that somebody is at it. So a server that
stops in between has lost nothing: the month is closed again, and what was done is found.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from narrows_metering.terms import Period

from narrows_server.audit import Occasion
from narrows_server.errors import Invalid
from narrows_server.office import Office
from narrows_server.statements.service import close_month

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a close is. *fault* says that it stopped before its end."""

    period: str
    total: int
    done: int = 0
    is_running: bool = True
    fault: str | None = None


class Closings:
    """The closes of one server; of each month one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: dict[str, Progress] = {}

    def start(
        self,
        office: Office,
        period: Period,
        contract_ids: Sequence[str],
        *,
        occasion: Callable[[], Occasion],
        is_early: bool = False,
        sends: bool = False,
    ) -> threading.Thread:
        """Begin to close *period* for these contracts. Raises `Invalid` while somebody else does."""
        with self._lock:
            before = self._progress.get(str(period))
            if before is not None and before.is_running:
                raise Invalid(f"{period} is being closed already")
            progress = self._progress[str(period)] = Progress(period=str(period), total=len(contract_ids))

        def close() -> None:
            try:
                outcomes = close_month(
                    office.database, contract_ids, period, occasion=occasion, is_early=is_early, sends=sends
                )
                for _ in outcomes:
                    progress.done += 1
            except Exception:
                logger.exception("closing %s stopped", period)
                progress.fault = "it stopped before its end; the log says why. Close it again to do the rest"
            finally:
                progress.is_running = False

        thread = threading.Thread(target=close, name=f"narrows-close-{period}", daemon=True)
        thread.start()
        return thread

    def progress(self, period: str) -> Progress | None:
        """How far the last close of a month is; None if this server has not begun one."""
        return self._progress.get(period)
