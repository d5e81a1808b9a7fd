"""Canonical JSON: byte for byte what RFC 8785 says, within what records may hold."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.canonical import INTEGER_MAX, canonical_json, read_json

_keys = st.text(st.characters(max_codepoint=127), min_size=1, max_size=12)
_leaves = st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | st.text(max_size=20)
_values = st.recursive(_leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4))


@given(_values)
def test_the_fast_encoder_writes_what_the_reference_implementation_writes(value: object) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(_values)
def test_what_was_written_is_read_back(value: object) -> None:
    assert read_json(canonical_json(value)) == value


def test_the_escapes_are_the_shortest_that_json_has() -> None:
    assert canonical_json('\x00\x08\t\n\x0b\f\r\x1f"\\\x7fé😀') == (
        b'"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\"\\\\\x7f' + "é😀".encode() + b'"'
    )


@pytest.mark.parametrize("text", ["1.0", "[1e3]", "NaN", '{"a":-Infinity}', "9" * 5000, "[" * 100_000, "", b"\xff"])
def test_numbers_that_are_not_integers_and_texts_that_are_not_json_are_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (every refusal is the same to the caller)
        read_json(text)


def test_lone_surrogates_have_no_canonical_bytes() -> None:
    with pytest.raises(UnicodeEncodeError):
        canonical_json(json.loads('"\\ud800"'))
