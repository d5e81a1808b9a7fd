"""
What must be billed, by the simplest bookkeeping there is: a dictionary.

Knows nothing of ledgers, reports or receipts. It knows which events a caller was told are recorded, and in which places
each of them lies: on machines, and on the server once a receipt says so. An event that lies somewhere must be billed
exactly once in the end; one whose last copy burned with its disk, or of which the caller never heard, at most once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

SERVER: Final = "server"

Event = tuple[str, int]
"""Kind and number; the number is in the record's payload, and no two events share one."""


@dataclass(slots=True)
class Oracle:
    """Every event that was ever tried, its amount, and the places that it lies in."""

    amounts: dict[Event, int] = field(default_factory=dict)
    places: dict[Event, set[str]] = field(default_factory=dict)

    def tried(self, event: Event, amount: int) -> None:
        """Somebody is about to record *event*; until they hear that it is, it may or may not be."""
        self.amounts[event] = amount
        self.places[event] = set()

    def put(self, events: Iterable[Event], place: str) -> None:
        for event in events:
            self.places[event].add(place)

    def held(self, place: str) -> frozenset[Event]:
        """What lies in *place*: all that a copy of it can restore."""
        return frozenset(event for event, places in self.places.items() if place in places)

    def replace(self, place: str, events: frozenset[Event]) -> None:
        """*place* now holds *events* and nothing else: a copy was restored, a machine was cloned or lost."""
        for event, places in self.places.items():
            if event in events:
                places.add(place)
            else:
                places.discard(place)

    def differences(self, billed: Mapping[Event, int], amounts: Mapping[str, int]) -> list[str]:
        """What is wrong with *billed*, how often each event was, and *amounts*, the server's own sums by kind."""
        found = []
        for event, places in self.places.items():
            times = billed.get(event, 0)
            if times > 1:
                found.append(f"{event} is billed {times} times")
            elif places and not times:
                found.append(f"{event} is not billed, though it lies on {', '.join(sorted(places))}")
        found += [f"{event} is billed and never happened" for event in billed.keys() - self.places.keys()]
        wanted: Counter[str] = Counter()
        for (kind, number), times in billed.items():
            wanted[kind] += times and self.amounts.get((kind, number), 0)
        if {kind: sum_ for kind, sum_ in wanted.items() if sum_} != {k: v for k, v in amounts.items() if v}:
            found.append(f"the server sums {dict(amounts)}, the events that it holds {dict(wanted)}")
        return found
