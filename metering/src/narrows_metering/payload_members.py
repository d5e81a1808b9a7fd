"""
The members of a record's payload, each read as what it has to be; the first that is not is named.

A payload may hold more than is read here: later releases add members. Documents that have exactly their own members are
read by `document`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeVar

from narrows_metering.canonical import INTEGER_MAX

TEXT_CHARACTERS_MAX: Final = 256
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

Choice = TypeVar("Choice", bound=StrEnum)


class MemberUnreadable(Exception):
    """Carries the name of a member from where it is read to where the payload is given up."""

    def __init__(self, member: str) -> None:
        super().__init__(member)
        self.member = member


class Members:
    """One JSON object. Every method raises MemberUnreadable for a member that is missing or malformed."""

    __slots__ = ("_values",)  # One is made for every record of a month.

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def given(self, name: str) -> bool:
        """Whether *name* is there and says something: null does not."""
        return self._values.get(name) is not None

    def text(self, name: str, *, shortest: int = 1) -> str:
        value = self._values.get(name)
        if not isinstance(value, str) or not shortest <= len(value) <= TEXT_CHARACTERS_MAX:
            raise MemberUnreadable(name)
        return value

    def sha256(self, name: str) -> str:
        value = self.text(name)
        if not _SHA256.fullmatch(value):
            raise MemberUnreadable(name)
        return value

    def choice(self, name: str, choices: type[Choice]) -> Choice:
        value = self.text(name)
        if value not in set(choices):
            raise MemberUnreadable(name)
        return choices(value)

    def integer(self, name: str, *, lowest: int) -> int:
        value = self._values.get(name)
        if type(value) is not int or not lowest <= value <= INTEGER_MAX:
            raise MemberUnreadable(name)
        return value

    def boolean(self, name: str) -> bool:
        value = self._values.get(name)
        if not isinstance(value, bool):
            raise MemberUnreadable(name)
        return value

    def time(self, name: str) -> datetime:
        """RFC 3339 in UTC, to the second or finer; importers and players differ in how fine."""
        value = self._values.get(name)
        time = _moment(value) if isinstance(value, str) and 20 <= len(value) <= 27 else None
        if time is None:
            raise MemberUnreadable(name)
        return time

    def object(self, name: str) -> Members:
        value = self._values.get(name)
        if not isinstance(value, dict):
            raise MemberUnreadable(name)
        return Members(value)

    def objects(self, name: str, *, count_max: int) -> list[Members]:
        """A list of JSON objects."""
        values = self._values.get(name)
        if not isinstance(values, list) or len(values) > count_max or not all(isinstance(one, dict) for one in values):
            raise MemberUnreadable(name)
        return [Members(value) for value in values]


@lru_cache(maxsize=65_536)  # A month's windows begin and end at few moments, told by many records.
def _moment(text: str) -> datetime | None:
    if not text.endswith("Z"):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.utcoffset() == timedelta(0) else None
