"""
Reading the members of a signed object one by one, each against a named limit.

A reader knows which object it reads and which error to raise, so that every refusal names the member at fault. What
was not asked for is refused too (`done`): a restriction that this version does not understand must not be ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final, NoReturn, TypeVar

from narrows_licensing.errors import DocumentUnreadable

IDENTIFIER_CHARACTERS_MAX: Final = 128
TIME_MAX: Final = datetime(2200, 1, 1, tzinfo=UTC)  # Leaves room for a grace period before `datetime` ends.

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]*")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_E = TypeVar("_E", bound=StrEnum)


class ClaimReader:
    """Hands out the members of *claims* by kind; every fault is raised as *error* with the path of the member."""

    def __init__(self, claims: object, *, error: type[DocumentUnreadable], path: str = "") -> None:
        self._error = error
        self._path = path
        if not isinstance(claims, dict):
            self.refuse("", "is not an object")
        self._claims: Mapping[str, Any] = claims
        self._asked: set[str] = set()

    def refuse(self, name: str, detail: str) -> NoReturn:
        """Raise the error for the member *name*."""
        raise self._error(".".join(part for part in (self._path, name) if part) or "document", detail)

    def done(self) -> None:
        """Refuse the object if it has members that nobody asked for."""
        if unknown := sorted(self._claims.keys() - self._asked):
            # The name comes from outside and may end up on a terminal.
            self.refuse(unknown[0] if is_identifier(unknown[0]) else "a member", "is not known to this version")

    def constant(self, name: str, expected: str) -> None:
        """Require the member to be exactly *expected*."""
        if self._take(name) != expected:
            self.refuse(name, f"is not {expected!r}")

    def boolean(self, name: str) -> bool:
        """Return true or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            self.refuse(name, "is neither true nor false")
        return value

    def integer(self, name: str, *, lowest: int, highest: int) -> int:
        """Return an integer of *lowest* to *highest*, both included."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            self.refuse(name, f"is not an integer in {lowest}..{highest}")
        return value

    def integer_or_none(self, name: str, *, lowest: int, highest: int) -> int | None:
        """Return an integer as `integer` does, or None for null."""
        return self.integer(name, lowest=lowest, highest=highest) if self._take(name) is not None else None

    def pattern(self, name: str, pattern: re.Pattern[str], what: str) -> str:
        """Return a string that *pattern* matches as a whole; refusals call it *what*."""
        value = self._take(name)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self.refuse(name, f"is not {what}")
        return value

    def text(self, name: str, *, characters_max: int) -> str:
        """Return a string of 1 to *characters_max* printable characters."""
        value = self._take(name)
        if not isinstance(value, str) or not 1 <= len(value) <= characters_max or not value.isprintable():
            self.refuse(name, f"is not a text of 1..{characters_max} printable characters")
        return value

    def identifier(self, name: str) -> str:
        """Return a name that is safe in files, URLs and logs: ASCII letters, digits and ``._:@+-``."""
        value = self._take(name)
        if not is_identifier(value):
            self.refuse(name, f"is not an identifier of 1..{IDENTIFIER_CHARACTERS_MAX} characters")
        return str(value)

    def identifier_or_none(self, name: str) -> str | None:
        """Return a name as `identifier` does, or None for null."""
        return self.identifier(name) if self._take(name) is not None else None

    def identifiers(self, name: str, *, count_max: int) -> tuple[str, ...]:
        """Return up to *count_max* different identifiers in their order."""
        values = self.items(name, count_max=count_max)
        if not all(is_identifier(value) for value in values):
            self.refuse(name, f"holds something other than identifiers of 1..{IDENTIFIER_CHARACTERS_MAX} characters")
        if len(set(values)) != len(values):
            self.refuse(name, "names something twice")
        return tuple(values)

    def texts(self, name: str, *, count_max: int, characters_max: int) -> tuple[str, ...]:
        """Return up to *count_max* different texts in their order."""
        values = self.items(name, count_max=count_max)
        if not all(isinstance(v, str) and 1 <= len(v) <= characters_max and v.isprintable() for v in values):
            self.refuse(name, f"holds something other than texts of 1..{characters_max} printable characters")
        if len(set(values)) != len(values):
            self.refuse(name, "names something twice")
        return tuple(values)

    def choice(self, name: str, choices: type[_E]) -> _E:
        """Return one of the values of *choices*."""
        value = self._take(name)
        if not isinstance(value, str) or value not in choices._value2member_map_:
            self.refuse(name, "is none of " + ", ".join(choices))
        return choices(value)

    def time(self, name: str) -> datetime:
        """Return a time that is written as whole UTC seconds since 1970 (RFC 7519 `NumericDate`, integers only)."""
        seconds = self.integer(name, lowest=0, highest=seconds_of(TIME_MAX))
        return datetime.fromtimestamp(seconds, tz=UTC)

    def day_or_none(self, name: str) -> date | None:
        """Return a calendar day written ``YYYY-MM-DD``, or None for null."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, str) or not _DATE.fullmatch(value):
            self.refuse(name, "is neither null nor a day written YYYY-MM-DD")
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.refuse(name, "is not a day of the calendar")

    def text_or_none(self, name: str, *, characters_max: int) -> str | None:
        """Return a text as `text` does, or None for null."""
        return self.text(name, characters_max=characters_max) if self._take(name) is not None else None

    def object(self, name: str) -> ClaimReader:
        """Return a reader for a nested object."""
        path = f"{self._path}.{name}" if self._path else name
        return ClaimReader(self._take(name), error=self._error, path=path)

    def member(self, name: str, index: int) -> ClaimReader:
        """Return a reader for the object at *index* of the list *name*, whose length `items` has checked."""
        path = f"{self._path}.{name}" if self._path else name
        return ClaimReader(self._take(name)[index], error=self._error, path=f"{path}[{index}]")

    def object_or_none(self, name: str) -> dict[str, Any] | None:
        """Return a nested object unread, or None for null."""
        value = self._take(name)
        if value is not None and not isinstance(value, dict):
            self.refuse(name, "is neither null nor an object")
        return value

    def names(self) -> list[str]:
        """Return the names of the members in their order, for objects whose members vary."""
        return list(self._claims)

    def items(self, name: str, *, count_max: int) -> list[Any]:
        """Return a list of up to *count_max* members, unread."""
        value = self._take(name)
        if not isinstance(value, list) or len(value) > count_max:
            self.refuse(name, f"is not a list of up to {count_max} members")
        return value

    def _take(self, name: str) -> Any:
        if name not in self._claims:
            self.refuse(name, "is missing")
        self._asked.add(name)
        return self._claims[name]


def is_identifier(value: object) -> bool:
    """Say whether *value* is a name that is safe in files, URLs and logs."""
    return isinstance(value, str) and len(value) <= IDENTIFIER_CHARACTERS_MAX and bool(_IDENTIFIER.fullmatch(value))


def seconds_of(time: datetime) -> int:
    """Return *time* (aware) as whole seconds since 1970, without passing through a float; fractions are dropped."""
    elapsed = time - _EPOCH
    return elapsed.days * 86_400 + elapsed.seconds
