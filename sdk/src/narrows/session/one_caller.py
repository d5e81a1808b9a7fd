"""A lock that refuses instead of letting wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OneCaller:
    """Lets one thread in at a time and refuses the others, for what keeps a state from frame to frame."""

    def __init__(self, whose: str) -> None:
        self._whose, self._lock = whose, threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(f"this {self._whose} is busy in another thread; give each thread one of its own")
        try:
            yield
        finally:
            self._lock.release()
