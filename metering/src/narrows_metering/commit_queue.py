"""
Group commit: the threads of a process share one wait for the disk.

Whoever comes while nobody commits, commits for all who wait by then. Those who were just served often come again, so a
leader gives them a moment, a part of what the last commit took; without it two halves of the callers take turns, and
each waits for the other's disk. Alone, a caller waits for nobody.

Knows nothing of what is committed; `ledger` says how.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from narrows_metering.errors import LedgerUnavailable

GATHERING_SHARE: Final = 0.5  # Of the last commit's time: how long a leader waits for those who were just served.
GATHERING_SECONDS_MAX: Final = 0.01

Item = TypeVar("Item")
Result = TypeVar("Result")


class CommitQueue(Generic[Item, Result]):
    """
    Hands items to *commit* in groups of at most *group_max*, in the order in which they came.

    *commit* gets a group and returns a result for each of its items, or raises for all of them.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result]], *, group_max: int) -> None:
        self._commit = commit
        self._group_max = group_max
        self._mutex = threading.Lock()  # For what follows; never held while somebody commits.
        self._waiting: deque[_Place[Item, Result]] = deque()
        self._is_led = False
        self._committing = threading.Lock()
        self._come = threading.Condition(self._mutex)  # Told when as many wait as a leader hopes for.
        self._hoped = 0
        self._served = 0  # In the last commit, whoever led it aside.
        self._took_seconds = 0.0

    def submit(self, item: Item) -> Result:
        """The result for *item*, once it is committed. Raises what *commit* raised for its group."""
        place = _Place[Item, Result](item)
        with self._mutex:
            self._waiting.append(place)
            place.leads, self._is_led = not self._is_led, True
            if len(self._waiting) >= self._hoped:
                self._come.notify()
        if not place.leads:
            try:
                place.woken.acquire()
            except BaseException:
                self._leave(place)
                raise
        if place.leads:
            self._lead(place)
        if place.error is not None:
            raise place.error
        assert place.result is not None
        return place.result

    def before_fork(self) -> None:
        """Wait for the commit that is under way, and begin no other."""
        self._committing.acquire()
        self._mutex.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._mutex.release()
        self._committing.release()

    def after_fork_in_child(self) -> None:
        """Begin with nobody waiting: the threads that waited are the parent's, which commits for them."""
        self._mutex = threading.Lock()
        self._come = threading.Condition(self._mutex)
        self._waiting.clear()
        self._is_led = False
        self._served = 0
        self._committing = threading.Lock()

    def _lead(self, place: _Place[Item, Result]) -> None:
        """Commit until *place* is done, and let the next lead before the others of the group go on."""
        groups: list[_Place[Item, Result]] = []
        try:
            while not place.is_done:
                self._gather(place)
                with self._committing:
                    group = self._next_group()
                    groups += group
                    began = time.monotonic()
                    self._commit_group(group)
                    self._served, self._took_seconds = len(group) - 1, time.monotonic() - began
        finally:
            self._hand_over()
            for other in groups:
                if other is not place:
                    other.woken.release()

    def _gather(self, place: _Place[Item, Result]) -> None:
        """Give those who were served by the last commit a moment to come again."""
        with self._mutex:
            self._hoped = min(len(self._waiting) + self._served, self._group_max)
            patience = min(GATHERING_SHARE * self._took_seconds, GATHERING_SECONDS_MAX)
            try:
                self._come.wait_for(lambda: len(self._waiting) >= self._hoped, patience)
            except BaseException:
                # Interrupted before anybody took it: whoever leads next must not find it.
                if place in self._waiting:
                    self._waiting.remove(place)
                raise
            finally:
                self._hoped = 0

    def _next_group(self) -> list[_Place[Item, Result]]:
        with self._mutex:
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), self._group_max))]

    def _commit_group(self, group: list[_Place[Item, Result]]) -> None:
        try:
            results = self._commit([place.item for place in group])
            for place, result in zip(group, results, strict=True):
                place.result = result
        except Exception as error:  # noqa: BLE001  (each member of the group raises it)
            for place in group:
                place.error = error
        except BaseException:  # An interrupt is the leader's own.
            for place in group:
                place.error = LedgerUnavailable("the thread that was committing was interrupted")
            raise
        finally:
            for place in group:
                place.is_done = True

    def _hand_over(self) -> None:
        """Let the first that waits lead, if anybody does."""
        with self._mutex:
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].woken.release()
            else:
                self._is_led = False

    def _leave(self, place: _Place[Item, Result]) -> None:
        """Give up a place, interrupted. What a leader has taken meanwhile may be committed all the same."""
        with self._mutex:
            if place in self._waiting:
                self._waiting.remove(place)
        if place.leads:
            self._hand_over()


class _Place(Generic[Item, Result]):
    """An item's place in the queue, and what came of it."""

    __slots__ = ("error", "is_done", "item", "leads", "result", "woken")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.leads = False
        self.is_done = False
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.woken = threading.Lock()  # Free again once there is something to do or to take home.
        self.woken.acquire()
