"""
A deadline over a whole call that may hang anywhere: in a name lookup, in a handshake, in an answer that trickles.

Timeouts of HTTP clients hold for each wait of a call and not for all together, and nothing bounds the system's name
lookup. So the call runs in a thread of its own, and whoever waits for it goes on when time is up. Knows no HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class DeadlinePassed(Exception):
    """The call did not end in time, or one before it has still not ended."""


class Deadline:
    """Runs one call at a time, for at most *seconds*; *abandon* is to make an overdue one end soon."""

    def __init__(self, seconds: float, *, abandon: Callable[[], None]) -> None:
        self._seconds = seconds
        self._abandon = abandon
        self._overdue: threading.Thread | None = None

    def call(self, function: Callable[[], T]) -> T:
        """What *function* returns or raises; DeadlinePassed if it does neither in time."""
        # A thread that hangs is waited for before there is another one: they must not heap up. One that was made to end
        # needs a moment for it.
        if self._overdue is not None:
            self._overdue.join(self._seconds / 10)
        if self._overdue is not None and self._overdue.is_alive():
            raise DeadlinePassed("the call before this one still hangs")
        self._overdue = None
        outcome = _Outcome(function)
        thread = threading.Thread(target=outcome.run, name="narrows-call", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # Newer Pythons start no thread while the interpreter ends. Whoever reports then is bounded from outside.
            return function()
        if not outcome.is_there.wait(self._seconds):
            self._overdue = thread
            self._abandon()
            raise DeadlinePassed(f"no answer within {self._seconds:g} s")
        return outcome.take()


class _Outcome(Generic[T]):
    """What came of a call, handed from its thread to the one that waits."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._result: T
        self._error: BaseException | None = None
        self.is_there = threading.Event()

    def run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:  # noqa: BLE001 - it is raised again, where somebody waits for it
            self._error = error
        finally:
            self.is_there.set()

    def take(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result
