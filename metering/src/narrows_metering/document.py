"""
Members of a document that somebody else wrote, read one by one. Each raises ValueError that names the member.

Decimals stand in documents as text in one spelling, so that equal documents have equal bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,11})(\.[0-9]{0,11}[1-9])?")


def decimal_to_text(value: Decimal) -> str:
    """The one spelling of a decimal: no exponent, no trailing zeros, so that a database's scale never shows."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) if value else "0"


def decimal_from_text(text: object) -> Decimal:
    """Read `decimal_to_text`'s result for a value from 0. Raises ValueError for any other spelling."""
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise ValueError("not a decimal in its one spelling")
    return Decimal(text)


def read_members(document: object, names: str, where: str) -> Mapping[str, Any]:
    """*document*, if it is an object with exactly the members *names*."""
    if not isinstance(document, dict) or document.keys() != set(names.split()):
        raise ValueError(f"{where}: not an object with the members {names}")
    return document


def read_text(members: Mapping[str, Any], name: str) -> str:
    """A text."""
    value = members[name]
    if not isinstance(value, str):
        raise ValueError(f"{name}: not text")
    return value


def read_count(members: Mapping[str, Any], name: str) -> int:
    """An integer."""
    value = members[name]
    if type(value) is not int:
        raise ValueError(f"{name}: not an integer")
    return value


def read_optional_count(members: Mapping[str, Any], name: str) -> int | None:
    """An integer, or None for null."""
    return None if members[name] is None else read_count(members, name)


def read_object(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object."""
    value = members[name]
    if not isinstance(value, dict):
        raise ValueError(f"{name}: not an object")
    return value


def read_list(members: Mapping[str, Any], name: str, *, most: int) -> list[Any]:
    """A list of at most *most* entries."""
    value = members[name]
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"{name}: not a list of at most {most}")
    return value
