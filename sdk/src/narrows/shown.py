"""How results are shown: as JSON to programs, as text to people, and as tables in notebooks."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import Enum
from fractions import Fraction
from html import escape
from pathlib import Path
from typing import Any

PICTURE_WIDTH = 320
"""Of a picture within a table; whoever wants it whole shows the picture itself."""


class Shown:
    """A dataclass that a notebook shows as a table, by IPython's `_repr_html_`."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return _members(self)


def plain(value: object) -> Any:
    """*value* as JSON can hold it: dataclasses as objects, times in ISO 8601, fractions as text, bytes in hex."""
    if _is_record(value):
        return {name: plain(member) for name, member in _fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path | Fraction):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def text_of(member: object) -> str:
    """One plain value for people: a dash where there is none."""
    return f"{member:.3f}" if isinstance(member, float) else "–" if member is None or member == [] else str(member)


def label_of(name: str) -> str:
    """What a member is called where people read it."""
    return name.replace("_", " ")


def _members(value: object) -> str:
    """One row for each member."""
    rows = (f"<tr><th>{label_of(name)}</th><td>{_cell(member)}</td></tr>" for name, member in _columns(value))
    return f"<table>{''.join(rows)}</table>"


def _records(values: Sequence[object]) -> str:
    """One row for each of *values*, which are of one class, and a column for each member."""
    head = "".join(f"<th>{label_of(name)}</th>" for name, _ in _columns(values[0]))
    rows = ("".join(f"<td>{_cell(member)}</td>" for _, member in _columns(value)) for value in values)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _cell(value: object) -> str:
    if (to_png := getattr(value, "_repr_png_", None)) is not None:
        png = base64.b64encode(to_png()).decode()
        return f'<img src="data:image/png;base64,{png}" style="max-width:{PICTURE_WIDTH}px">'
    if _is_record(value):
        return _members(value)
    if isinstance(value, list | tuple) and value and all(type(one) is type(value[0]) for one in value):
        return _records(value) if _is_record(value[0]) else "<br>".join(escape(text_of(plain(one))) for one in value)
    if isinstance(value, Mapping):
        return "<br>".join(f"{escape(str(name))}: {escape(text_of(plain(member)))}" for name, member in value.items())
    return escape(text_of(plain(value)))


def _is_record(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _columns(value: object) -> Iterator[tuple[str, Any]]:
    """What there is to see: the members, and what is reckoned from them."""
    yield from _fields(value)
    reckoned = (name for name, member in vars(type(value)).items() if isinstance(member, property))
    yield from ((name, getattr(value, name)) for name in reckoned)


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    return ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
