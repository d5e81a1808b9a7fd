"""One text, one meaning: what `strict_json` reads, and everything that it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_licensing.strict_json import DEPTH_MAX, INTEGER_MAX, JsonRefused, read_object, write_object

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=6)


@given(objects)
def test_what_was_written_is_read_back(members: dict[str, Any]) -> None:
    assert read_object(write_object(members)) == members
    assert read_object(write_object(members, indent=2).encode()) == members


@given(objects)
def test_the_order_of_members_does_not_change_what_is_written(members: dict[str, Any]) -> None:
    assert write_object(dict(reversed(members.items()))) == write_object(members)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_input_causes_any_other_error(text: bytes | str) -> None:
    try:
        value = read_object(text)
    except JsonRefused:
        return
    assert value == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}',
        '{"a":{"b":1,"b":2}}',
        '{"a":1,"\\u0061":2}',
        '{"a":1.0}',
        '{"a":1e3}',
        '{"a":NaN}',
        '{"a":-Infinity}',
        '{"a":9007199254740992}',
        '{"a":-9007199254740992}',
        '{"a":' + "9" * 100_000 + "}",
        '{"a":"\\ud800"}',
        '{"\\udfff":1}',
        '{"a":"\ud800"}',
        '{"a":"\n"}',
        "{'a':1}",
        '{"a":1,}',
        '{"a":1} {}',
        "[]",
        '"a"',
        "1",
        "null",
        "",
        "\ufeff{}",
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
        b'{"a":"\xff"}',
        '{"a":1}'.encode("utf-16"),
    ],
    ids=lambda text: repr(text[:24]),
)
def test_what_readers_could_disagree_about_is_refused(text: str | bytes) -> None:
    with pytest.raises(JsonRefused):
        read_object(text)


def test_the_largest_integers_are_read_exactly() -> None:
    assert read_object(f'{{"a":[{INTEGER_MAX},{-INTEGER_MAX}]}}') == {"a": [INTEGER_MAX, -INTEGER_MAX]}


def test_the_deepest_permitted_object_is_read_and_one_level_more_is_not() -> None:
    def nested(depth: int) -> str:
        return '{"a":' * depth + "1" + "}" * depth

    assert read_object(nested(DEPTH_MAX))
    with pytest.raises(JsonRefused, match="levels deep"):
        read_object(nested(DEPTH_MAX + 1))


@pytest.mark.parametrize("value", [1.5, float("nan"), (1, 2), {1: 2}, b"bytes", 2**53, "\ud800", object(), {"a", "b"}])
def test_what_could_not_be_read_back_is_not_written(value: object) -> None:
    with pytest.raises(JsonRefused):
        write_object({"member": value})
