"""Work starts when what it needs is done, and leaves nothing behind."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import CancelledError, Future
from functools import partial

import pytest
from narrows.codec.pool import THREADS_MAX, Pool, usual_threads


class Thing:
    """Something that can be watched being forgotten."""


def test_work_waits_for_what_it_needs() -> None:
    pool, gate = Pool(2), threading.Event()
    order: list[str] = []

    def after_the_gate() -> None:
        gate.wait(5)
        order.append("first")

    first = pool.start(after_the_gate, [])
    second = pool.start(partial(order.append, "second"), [first])
    free = pool.start(partial(order.append, "free"), [])

    free.result(5)
    gate.set()
    second.result(5)
    pool.close()

    assert order == ["free", "first", "second"]


def test_what_work_raises_is_raised_where_the_result_is_asked_for() -> None:
    def fail() -> None:
        raise ValueError("broken")

    pool = Pool(2)
    with pytest.raises(ValueError, match="broken"):
        pool.start(fail, []).result(5)
    pool.close()


def test_a_result_is_forgotten_with_its_future_however_much_came_after() -> None:
    pool = Pool(2)
    gc.disable()  # What is only freed by a search for cycles is kept too long.
    try:
        root: Future[Thing] = pool.start(Thing, [])
        later = pool.start(Thing, [root])
        watched = weakref.ref(later.result(5))
        pool.start(Thing, [later]).result(5)
        del later
        assert watched() is None
    finally:
        gc.enable()
        pool.close()


def test_nothing_begins_after_closing() -> None:
    pool, gate = Pool(2), threading.Event()
    running = pool.start(lambda: gate.wait(5), [])
    waiting = pool.start(Thing, [running])
    threading.Timer(0.05, gate.set).start()

    pool.close()

    assert running.result(5) is True
    with pytest.raises(CancelledError):
        waiting.result(5)


def test_large_pictures_get_fewer_threads() -> None:
    assert usual_threads(3840, 2160) == 1
    assert 1 <= usual_threads(352, 288) <= THREADS_MAX
