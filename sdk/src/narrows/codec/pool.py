"""
Threads for frames that do not need each other.

One frame has too little work for two threads: most of its steps take a millisecond, and on a busy machine each of
them would wait for the slower half. Frames side by side wait for nothing but what they predict from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import torch

from narrows.processors import usable_processors

THREADS_MAX = 4
"""Groups of eight frames have no work for more."""
PIXELS_MAX = 4_000_000
"""Decoded at a time: more than a gigabyte."""
Made = TypeVar("Made")


def usual_threads(width: int, height: int) -> int:
    """As many as this process has processors, while pictures of this size leave room in memory."""
    return max(1, min(THREADS_MAX, usable_processors(), PIXELS_MAX // (width * height)))


class Pool:
    """Runs work as soon as all that it needs is done; torch has one thread in each of these."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, "narrows", torch.set_num_threads, (1,))

    def start(self, work: Callable[[], Made], needed: Sequence[Future[Any]]) -> Future[Made]:
        """*work*, once *needed* is done; what it raises is raised by the future's `result`."""
        task = _Task(work)
        future = task.future
        assert future is not None
        _after(needed, lambda: task.submit(self._executor))
        return future

    def close(self) -> None:
        """Begin nothing more; wait for what runs."""
        self._executor.shutdown(cancel_futures=True)


class _Task(Generic[Made]):
    """
    Work that lets go of what it holds when it is done.

    What it needed keeps a callback that knows it, so without that every frame would keep all that came after.
    """

    def __init__(self, work: Callable[[], Made]) -> None:
        self._work: Callable[[], Made] | None = work
        self.future: Future[Made] | None = Future()

    def submit(self, executor: ThreadPoolExecutor) -> None:
        try:
            executor.submit(self._run)
        except RuntimeError:  # Closed in between.
            assert self.future is not None
            self.future.cancel()

    def _run(self) -> None:
        work, future, self._work, self.future = self._work, self.future, None, None
        assert work is not None and future is not None
        try:
            made = work()
        except BaseException as error:  # noqa: BLE001 — it belongs to whoever asks for the result
            future.set_exception(error)
        else:
            del work
            future.set_result(made)


def _after(needed: Sequence[Future[Any]], then: Callable[[], None]) -> None:
    if not needed:
        then()
        return
    first, *rest = needed
    first.add_done_callback(lambda _: _after(rest, then))
