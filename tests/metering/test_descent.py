"""Copies of a machine that carry the same records tell the same facts, under whatever names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from narrows_metering.descent import Descent
from narrows_metering.payload import Event
from narrows_metering.record import Kind, Record, genesis
from narrows_metering.terms import Period
from narrows_metering.testing import NOW, a_delivery, an_installation_id, some_terms
from narrows_metering.usage import Usage, collect

NOVEMBER = Period(year=2026, month=11)
Fact = tuple[Kind, dict[str, object], int]
"""Kind, payload and second of a record."""


def delivery(number: int) -> Fact:
    return Kind.DELIVERY, a_delivery(delivered=number, source_digest=""), number


def run(name: str, *facts: Fact) -> tuple[str, list[Record]]:
    """A whole ledger of the installation *name*."""
    installation = an_installation_id(name)
    records, prev = list[Record](), genesis(installation)
    for seq, (kind, payload, second) in enumerate(facts, start=1):
        records.append(Record.seal(seq, prev, NOW + timedelta(seconds=second), kind, payload))
        prev = records[-1].hash
    return installation, records


def continuing(records: Sequence[Record], installation: str, **changed: object) -> Fact:
    """The first record of a ledger that goes on behind *records*."""
    event = {
        "event": Event.REIDENTIFIED,
        "previous_installation": installation,
        "previous_seq": records[-1].seq,
        "previous_hash": records[-1].hash,
    }
    return Kind.LIFECYCLE, event | changed, 0


def used(*runs: tuple[str, list[Record]]) -> Usage:
    return collect(dict(runs), terms=some_terms(), period=NOVEMBER)


def delivered(usage: Usage) -> int:
    return sum(entry.bytes_delivered for entry in usage.delivered.values())


def test_what_two_copies_carry_on_from_the_same_ledger_is_counted_once() -> None:
    name, old = run("old", delivery(1), delivery(2))
    begin = continuing(old, name)
    one, other = run("one", begin, delivery(5), delivery(6)), run("other", begin, delivery(5), delivery(7))

    for runs in ([(name, old), one, other], [other, one, (name, old)]):
        usage = used(*runs)
        assert delivered(usage) == 1 + 2 + 5 + 6 + 7
        assert sum(entry.bytes_delivered for entry in usage.repeated.values()) == 5


def test_what_a_copy_carries_and_the_old_ledger_holds_after_all_is_counted_once() -> None:
    name, old = run("old", delivery(1), delivery(2), delivery(3))
    copy = run("copy", continuing(old[:1], name), delivery(2), delivery(3), delivery(4))

    assert delivered(used((name, old), copy)) == 1 + 2 + 3 + 4


def test_equal_amounts_at_other_moments_or_behind_another_history_are_other_facts() -> None:
    name, old = run("old", delivery(1))
    kind, payload, second = delivery(5)
    later = run("later", continuing(old, name), (kind, payload, second + 1))
    behind = run("behind", continuing(old, name), delivery(4), (kind, payload, second))
    once = run("once", continuing(old, name), (kind, payload, second))

    assert delivered(used((name, old), later, behind, once)) == 1 + 5 + 4 + 5 + 5


@pytest.mark.parametrize("changed", [{"previous_hash": None}, {"previous_hash": "x"}, {"event": Event.RECOVERED}])
def test_a_ledger_that_does_not_say_what_it_continues_shares_nothing(changed: dict[str, object]) -> None:
    name, old = run("old", delivery(1))
    begin = continuing(old, name, **changed)

    usage = used((name, old), run("one", begin, delivery(5)), run("other", begin, delivery(5)))

    assert delivered(usage) == 1 + 5 + 5


def test_behind_records_that_are_missing_every_ledger_speaks_for_itself() -> None:
    name, old = run("old", delivery(1))
    gap: Fact = (Kind.GAP, {"reason": "pruned"}, 1)
    _, records = run("one", continuing(old, name), delivery(5), gap, delivery(6))
    descent = Descent()

    assert [len(descent.keys(record)) for record in records] == [1, 2, 1, 1]
