"""Whatever happens to machines, network and server: what was recorded is billed once, and nothing else is."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest
from narrows_metering.errors import LedgerDamaged, LedgerUnavailable
from narrows_metering.ledger import Ledger
from narrows_metering.record import Kind
from narrows_metering.testing import NOW, an_installation_id

from .disk import Disk
from .oracle import SERVER, Oracle
from .run import FAULTS, Summary, describe, memory, play, play_all
from .world import Outcome

SEEDS = 2_000
JOBS = 2
CLONES_AND_RESTORES = 1_000


@pytest.fixture(scope="module")
def summary() -> Summary:
    summary = Summary()
    for outcome in play_all(0, SEEDS, JOBS):
        summary.add(outcome)
    return summary


@pytest.mark.slow
class TestTwoThousandSeeds:
    def test_none_differs_from_the_oracle(self, summary: Summary) -> None:
        assert summary.seeds == SEEDS
        assert not summary.failed, "\n\n".join(describe(outcome) for outcome in summary.failed[:3])

    def test_every_fault_was_there(self, summary: Summary) -> None:
        assert summary.unused() == []
        assert len(summary.faults) == len(FAULTS)

    def test_a_thousand_of_them_clone_and_restore_machines(self, summary: Summary) -> None:
        copying = sum(count for family, count in summary.families.items() if family in COPYING)
        assert copying >= CLONES_AND_RESTORES - 1


COPYING = {"copies", "copies again", "everything"}


def test_a_seed_is_the_same_story_every_time() -> None:
    def stories() -> list[Outcome]:
        with memory() as folder:
            return list(play(range(12), folder))

    assert [outcome.log for outcome in stories()] == [outcome.log for outcome in stories()]


class TestTheOracle:
    def test_an_event_that_lies_somewhere_is_billed_exactly_once(self) -> None:
        oracle = Oracle()
        oracle.tried(("delivery", 5), 5)
        assert oracle.differences({}, {}) == []
        oracle.put([("delivery", 5)], "machine")

        assert oracle.differences({("delivery", 5): 1}, {"delivery": 5}) == []
        assert "is not billed" in oracle.differences({}, {})[0]
        assert "2 times" in oracle.differences({("delivery", 5): 2}, {"delivery": 10})[0]

    def test_an_event_whose_last_copy_burned_may_be_missing_but_never_double(self) -> None:
        oracle = Oracle()
        oracle.tried(("delivery", 5), 5)
        oracle.put([("delivery", 5)], "machine")
        oracle.replace("machine", frozenset())

        assert oracle.differences({}, {}) == []
        assert oracle.differences({("delivery", 5): 2}, {"delivery": 10}) != []

    def test_what_never_happened_and_a_wrong_sum_are_differences(self) -> None:
        oracle = Oracle()
        oracle.tried(("delivery", 5), 5)
        oracle.put([("delivery", 5)], SERVER)

        assert "never happened" in oracle.differences({("delivery", 5): 1, ("delivery", 6): 1}, {"delivery": 11})[0]
        assert "sums" in oracle.differences({("delivery", 5): 1}, {"delivery": 6})[0]


class TestTheDisk:
    def test_a_power_cut_takes_what_nobody_waited_for_and_nothing_else(self, tmp_path: Path) -> None:
        lost = 0
        for seed in range(20):
            folder = tmp_path / str(seed)
            folder.mkdir()
            with Disk(folder) as disk:
                ledger = Ledger.open(folder / "ledger.sqlite", installation_id=an_installation_id())
                disk.dies_after = disk.operations + seed
                written = 0
                with suppress(LedgerUnavailable, LedgerDamaged):
                    while True:
                        written = ledger.append(Kind.GAP, {"n": written}, time=NOW).seq
                ledger.close()
                lost += disk.cut_power(random.Random(seed))
            with Ledger.open(folder / "ledger.sqlite", installation_id=an_installation_id()) as ledger:
                assert written <= ledger.verify().seq <= written + 1
        assert lost > 0
