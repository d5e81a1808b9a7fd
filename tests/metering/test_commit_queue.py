"""Threads that share one wait: everybody gets what is theirs, once, and a fault is everybody's."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

import pytest
from narrows_metering.commit_queue import CommitQueue

THREADS, TURNS = 16, 30


def together(work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def written(group: Sequence[int]) -> list[int]:
    """A commit that waits for the disk, and gives each item its double."""
    read, write = os.pipe()
    os.write(write, b"x")
    os.read(read, 1)
    os.close(read)
    os.close(write)
    return [2 * item for item in group]


def test_everybody_gets_their_own_result_and_nothing_is_committed_twice() -> None:
    committed, results = list[int](), dict[int, int]()

    def commit(group: Sequence[int]) -> list[int]:
        committed.extend(group)
        return written(group)

    queue = CommitQueue(commit, group_max=8)

    def work(number: int) -> None:
        for turn in range(TURNS):
            item = number * TURNS + turn
            results[item] = queue.submit(item)

    together(work)

    assert sorted(committed) == list(range(THREADS * TURNS))
    assert results == {item: 2 * item for item in range(THREADS * TURNS)}


def test_those_who_come_at_once_share_a_commit_of_at_most_the_maximum() -> None:
    sizes, may_go = list[int](), threading.Event()

    def commit(group: Sequence[int]) -> list[int]:
        sizes.append(len(group))
        may_go.wait()
        return list(group)

    queue = CommitQueue(commit, group_max=5)
    threads = [threading.Thread(target=queue.submit, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    while len(queue._waiting) < THREADS - sum(sizes):
        pass  # Until everybody has come; the first is committing, with whoever came before it began.
    may_go.set()
    for thread in threads:
        thread.join()

    assert sum(sizes) == THREADS
    assert max(sizes) == 5
    assert len(sizes) <= 5


def test_a_caller_alone_is_committed_at_once_and_alone() -> None:
    sizes = list[int]()

    def commit(group: Sequence[int]) -> list[int]:
        sizes.append(len(group))
        return list(group)

    queue = CommitQueue(commit, group_max=8)

    assert [queue.submit(number) for number in range(5)] == list(range(5))
    assert sizes == [1] * 5


def test_a_commit_that_fails_fails_for_its_whole_group_and_for_nobody_else() -> None:
    def commit(group: Sequence[int]) -> list[int]:
        if 3 in group:
            raise OSError("no room")
        return list(group)

    queue = CommitQueue(commit, group_max=1)
    with pytest.raises(OSError, match="no room"):
        queue.submit(3)
    assert queue.submit(4) == 4
