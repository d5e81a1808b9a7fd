"""Members are read as what they have to be, or named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum

import pytest
from narrows_metering.canonical import INTEGER_MAX
from narrows_metering.payload_members import TEXT_CHARACTERS_MAX, Members, MemberUnreadable


class Colour(StrEnum):
    RED = "red"


def test_what_is_as_it_has_to_be_is_given_back() -> None:
    members = Members({"text": "a", "hash": "0f" * 32, "time": "2026-11-10T00:00:00Z", "colour": "red", "list": [{}]})

    assert members.text("text") == "a"
    assert members.sha256("hash") == "0f" * 32
    assert members.time("time") == datetime(2026, 11, 10, tzinfo=UTC)
    assert members.choice("colour", Colour) is Colour.RED
    assert len(members.objects("list", count_max=1)) == 1


READINGS: list[tuple[Callable[[Members], object], list[object]]] = [
    (lambda members: members.text("it"), [None, "", 7, [], "x" * (TEXT_CHARACTERS_MAX + 1)]),
    (lambda members: members.sha256("it"), ["0f" * 31, "0F" * 32, "0f" * 32 + "\n"]),
    (lambda members: members.choice("it", Colour), ["blue", "RED", 7]),
    (lambda members: members.integer("it", lowest=1), [0, True, "1", 1.0, INTEGER_MAX + 1]),
    (lambda members: members.boolean("it"), [0, "true", None]),
    (lambda members: members.time("it"), ["2026-11-10", "2026-11-10T00:00:00", "2026-11-10T00:00:00+01:00", 7]),
    (lambda members: members.time("it"), ["2026-02-30T00:00:00Z"]),
    (lambda members: members.object("it"), [None, [], "{}"]),
    (lambda members: members.objects("it", count_max=2), [None, {}, [7], [{}, {}, {}]]),
]


@pytest.mark.parametrize(
    ("read", "value"), [(read, value) for read, values in READINGS for value in values], ids=lambda value: ""
)
def test_what_is_not_is_named(read: Callable[[Members], object], value: object) -> None:
    with pytest.raises(MemberUnreadable) as unreadable:
        read(Members({"it": value}))

    assert unreadable.value.member == "it"


def test_null_is_there_and_says_nothing() -> None:
    members = Members({"it": None})

    assert ("it" in members, members.given("it"), members.given("other")) == (True, False, False)
