"""A job that is done again and again while a server runs. It may fail: what it leaves undone, the next time finds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Repeating:
    """A thread that does *job* every *seconds*, from `start` to `stop`; the first time after as long, or at once."""

    def __init__(self, job: Callable[[], object], *, seconds: float, name: str, is_first_at_once: bool = False) -> None:
        self._job, self._seconds, self._name, self._is_first_at_once = job, seconds, name, is_first_at_once
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"narrows-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        fault: type[Exception] | None = None
        while not self._is_over.wait(0 if self._is_first_at_once else self._seconds):
            self._is_first_at_once = False
            try:
                self._job()
            except Exception as error:
                # The database may be away for a while: said once, and not every second.
                if type(error) is not fault:
                    logger.exception("%s failed and is tried every %g s", self._name, self._seconds)
                fault = type(error)
            else:
                if fault is not None:
                    logger.warning("%s works again", self._name)
                fault = None
