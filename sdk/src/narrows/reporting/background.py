"""
The background reporter: a daemon thread per state folder that sends what is unsent, for as long as the process lives.

Decides only *when*; `reporter` does the work, and the ledger keeps what is not acknowledged. It raises nothing into
the host and holds no record: appending one merely wakes it. Each turn opens what it needs and closes it again, so a
fork finds nothing to inherit; a child gets a thread of its own when it first appends.
"""

from __future__ import annotations

import atexit
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from narrows_licensing.license import License
from narrows_licensing.verdict import Refused

from narrows.errors import NarrowsError, ReportRejected
from narrows.license.gate import read_license
from narrows.reporting.attempts import ERROR_CHARACTERS_MAX, Attempts, note_attempts, read_attempts
from narrows.reporting.backoff import retry_delay
from narrows.reporting.client import MeteringClient
from narrows.reporting.destination import connect, find_destination, reports_by_itself, require_url
from narrows.reporting.reporter import report_usage
from narrows.reporting.turn import taken_turn
from narrows.settings import Settings
from narrows.usage.machine import open_meter, prune
from narrows.usage.meter import Meter, utc_now

GATHER_SECONDS: Final = 0.5  # From the first record to the report, so that a burst of them goes together.
EXIT_SECONDS: Final = 3.0  # A process that ends waits no longer for its last report.
IDLE: Final = timedelta(minutes=15)  # Between looks at what other processes have appended.
OTHERS_TURN: Final = timedelta(seconds=5)  # Then the other process is done, or has said until when it waits.
PRUNED_EVERY: Final = timedelta(days=1)
_CHANCE: Final = random.SystemRandom()  # Not the host's: its own draws must stay what its seed makes them.


class BackgroundReporter:
    """
    Reports for one state folder. Clock, chance and the way to the server are arguments for tests' sake.

    `turn` is all that the thread does, and may be called without one.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connect: Callable[[Settings, str], MeteringClient] = connect,
        clock: Callable[[], datetime] = utc_now,
        chance: Callable[[], float] = _CHANCE.random,
    ) -> None:
        self.settings = settings
        self._connect = connect
        self._clock = clock
        self._chance = chance
        self.reset()

    def reset(self) -> None:
        """Begin without a thread, as the child of a fork must: its parent's threads hold locks that nobody frees."""
        self._starting = threading.Lock()
        self._news = threading.Event()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._has_unsent = False

    def wake(self) -> None:
        """Say that there is something to report. Returns at once and raises nothing."""
        self._has_unsent = True
        self.start()
        self._news.set()

    def start(self) -> None:
        """See to it that the thread runs. What stands in its way now may be gone at the next record."""
        with self._starting:
            if self._is_over.is_set() or (self._thread is not None and self._thread.is_alive()):
                return
            thread = threading.Thread(target=self._run, name="narrows-reporter", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # No room for another thread, or the interpreter is ending.
                return
            self._thread = thread

    def finish(self) -> None:
        """Ask the thread for its last turn."""
        self._is_over.set()
        self._news.set()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the thread to end, at most so long; whether it has."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_seconds)
        return thread is None or not thread.is_alive()

    def turn(self) -> timedelta:
        """Report if it is time to and nobody else does; returns when to look again. Raises nothing."""
        folder = self.settings.state_folder
        try:
            wait = read_attempts(folder).wait(self._clock())
            if wait:
                return wait
            with taken_turn(folder) as is_ours:
                return self._report() if is_ours else OTHERS_TURN
        except OSError:  # The state folder is away. The encoder says so; here is nobody to tell.
            return IDLE

    def _report(self) -> timedelta:
        # Again under the lock: whoever had it before may just have failed.
        now, noted = self._clock(), read_attempts(self.settings.state_folder)
        if wait := noted.wait(now):
            return wait
        self._has_unsent = False
        attempts = self._attempt(now, noted)
        note_attempts(self.settings.state_folder, attempts)
        if attempts.last_error is None:
            return IDLE
        self._has_unsent = True
        return attempts.wait(now)

    def _attempt(self, now: datetime, noted: Attempts) -> Attempts:
        """Report once; what to note about it."""
        retry_after = None
        try:
            destination = find_destination(self.settings, now)
            with (
                open_meter(self.settings, clock=self._clock) as meter,
                self._connect(self.settings, require_url(destination)) as client,
            ):
                report_usage(
                    self.settings,
                    meter,
                    client,
                    license_token=destination.license_token,
                    receipt_keys=destination.receipt_keys,
                    at=now,
                )
                pruned_at = self._prune(meter, now, noted.pruned_at)
            return Attempts(last_attempt_at=now, last_success_at=now, pruned_at=pruned_at)
        except NarrowsError as error:
            text = f"{type(error).__name__}: {error}"
            if isinstance(error, ReportRejected):
                retry_after = error.retry_after
        except Exception as error:  # noqa: BLE001 - a bug here must not end the host, nor the reporting
            text = f"unexpected {type(error).__name__}: {error}"
        failures = noted.failure_count + 1
        return replace(
            noted,
            last_attempt_at=now,
            last_error=text[:ERROR_CHARACTERS_MAX],
            failure_count=failures,
            next_attempt_at=now + retry_delay(failures, chance=self._chance(), retry_after=retry_after),
        )

    def _prune(self, meter: Meter, now: datetime, pruned_at: datetime | None) -> datetime | None:
        if pruned_at is not None and timedelta(0) <= now - pruned_at < PRUNED_EVERY:
            return pruned_at
        prune(self.settings, meter, at=now)
        return now

    def _run(self) -> None:
        while True:
            self._news.clear()
            # After the clearing, since `finish` sets this one first: whichever way they meet, it is noticed.
            if self._is_over.is_set():
                break
            wait = self.turn()
            if self._news.wait(wait.total_seconds()):
                self._is_over.wait(GATHER_SECONDS)
        if self._has_unsent:
            self.turn()  # While the server is to be left alone, this does nothing.


_reporters: dict[Path, BackgroundReporter] = {}
_registering = threading.Lock()


def report_in_background(settings: Settings, license: License) -> Callable[[], None]:
    """
    Have usage under *license* reported from now on; returns what to call when something was recorded.

    Without a server to report to nothing is started. Raises nothing.
    """
    if not reports_by_itself(license, settings):
        return _leave_it
    with _registering:
        reporter = _reporters.setdefault(_absolute(settings.state_folder), BackgroundReporter(settings))
        reporter.settings = settings  # The latest: it may name a renewed license.
    reporter.start()
    return reporter.wake


def report_soon(settings: Settings) -> None:
    """
    Have what was just recorded reported, if the license says so: for records that no encoder makes. Raises nothing.

    Whatever is wrong with the license stands in nobody's way here; the records stay in the ledger.
    """
    with suppress(NarrowsError):
        read = read_license(settings, utc_now())
        if not isinstance(read, Refused):
            report_in_background(settings, read[1].license)()


def finish_reports(timeout_seconds: float = EXIT_SECONDS) -> bool:
    """Have all reporters of this process make their last report, within the time; whether all have ended."""
    deadline = time.monotonic() + timeout_seconds
    running = list(_reporters.values())
    for reporter in running:
        reporter.finish()
    ended = [reporter.join(max(0.0, deadline - time.monotonic())) for reporter in running]
    return all(ended)


def _absolute(folder: Path) -> Path:
    try:
        return folder.absolute()
    except OSError:  # A working directory that was removed.
        return folder


def _leave_it() -> None:
    """Nobody has to be woken."""


def _begin_anew() -> None:
    """In the child of a fork: its parent's threads are not there, and their locks may be held for ever."""
    global _registering
    _registering = threading.Lock()
    for reporter in _reporters.values():
        reporter.reset()


atexit.register(finish_reports)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
