"""
JSON (RFC 8259) as signed documents need it: one text, one meaning.

Two readers must never take different things from the same signed bytes, so what parsers disagree about is refused:
members that occur twice, numbers that are not exact integers everywhere (RFC 7493 §2.2), unpaired surrogates,
encodings other than UTF-8. This is not a general JSON reader; the documents of this package need no more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

INTEGER_MAX = 2**53 - 1  # The largest that every JSON reader holds exactly (RFC 7493 §2.2).
DEPTH_MAX = 16  # Levels of arrays and objects; the deepest document here, a bundle in a license file, has five.

_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonRefused(ValueError):
    """The text is not JSON, or could mean different things to different readers."""


def read_object(text: str | bytes) -> dict[str, Any]:
    """
    Read *text* as one JSON object of strings, integers, booleans, nulls, arrays and objects.

    The caller has limited the size. Raises `JsonRefused`, saying which rule was broken, and nothing else.
    """
    try:
        value = json.loads(
            text.decode("utf-8") if isinstance(text, bytes) else text,
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_float=_refuse_float,
            parse_constant=_refuse_float,
        )
    except UnicodeDecodeError as error:
        raise JsonRefused("not UTF-8") from error
    except json.JSONDecodeError as error:
        raise JsonRefused(f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise JsonRefused(f"more than {DEPTH_MAX} levels deep") from error
    if not isinstance(value, dict):
        raise JsonRefused("not a JSON object")
    _check(value, depth=1)
    return value


def write_object(members: Mapping[str, object], *, indent: int | None = None) -> str:
    """
    Write *members* as JSON with sorted names: the same members always give the same text.

    Raises `JsonRefused` if `read_object` would not give back equal members: nothing is signed that can't be read.
    """
    members = dict(members)
    separators = (",", ":") if indent is None else (",", ": ")
    try:
        text = json.dumps(
            members, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=indent, separators=separators
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise JsonRefused(f"cannot be written as JSON: {error}") from error
    if read_object(text) != members:
        raise JsonRefused("would not be read back as it was written")
    return text


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonRefused("a member occurs twice")
    return members


def _integer(digits: str) -> int:
    # Compared by length first: converting a very long run of digits costs quadratic time.
    if len(digits) > len(str(-INTEGER_MAX)) or abs(int(digits)) > INTEGER_MAX:
        raise JsonRefused("an integer is outside ±(2^53 - 1)")
    return int(digits)


def _refuse_float(_: str) -> NoReturn:
    raise JsonRefused("a number is not an integer")


def _check(value: object, *, depth: int) -> None:
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise JsonRefused("a string holds an unpaired surrogate")
    elif isinstance(value, dict | list):
        if depth > DEPTH_MAX:
            raise JsonRefused(f"more than {DEPTH_MAX} levels deep")
        for item in value:
            _check(item, depth=depth + 1)
        if isinstance(value, dict):
            for item in value.values():
                _check(item, depth=depth + 1)
