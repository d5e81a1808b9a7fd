"""
Long lists in pages: the one way in which a list of this API is read.

A cursor names the last row that was seen by the columns that the list is ordered by, which never change, so no row is
shown twice and none is left out however many are added meanwhile. It is opaque to callers, and no secret: what a
caller may see is decided by the query that the cursor narrows.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from narrows_server.errors import CursorInvalid

PAGE_ROWS = 50
PAGE_ROWS_MAX = 500
CURSOR_CHARACTERS_MAX = 500

Row = TypeVar("Row")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Where to go on, and how far."""

    cursor: str | None = None
    limit: int = PAGE_ROWS


class Page(BaseModel, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    next_cursor: str | None  # For the next page; null on the last one.


@dataclass(frozen=True, slots=True, kw_only=True)
class Paged(Generic[Row]):
    """The rows of a page, and the cursor of the next."""

    rows: list[Row]
    next_cursor: str | None


def every_row(read: Callable[[Paging], Paged[Row]]) -> Iterator[Row]:
    """All rows of a list that *read* gives in pages."""
    cursor: str | None = None
    while True:
        page = read(Paging(cursor=cursor, limit=PAGE_ROWS_MAX))
        yield from page.rows
        cursor = page.next_cursor
        if cursor is None:
            return


def read_page(
    session: Session,
    query: Select[Row],
    *,
    by: Sequence[InstrumentedAttribute[Any] | ColumnElement[Any]],
    at: Paging,
    is_ascending: bool = False,
) -> Paged[Row]:
    """
    One page of *query*, ordered by the columns *by* (the last of them unique, none of them null), newest first.

    Raises `CursorInvalid` for a cursor that is not of this list.
    """
    if at.cursor is not None:
        last = tuple_(*(literal(value, column.type) for value, column in zip(_read(at.cursor, by), by, strict=True)))
        query = query.where(tuple_(*by) > last if is_ascending else tuple_(*by) < last)
    ordered = query.order_by(*(column.asc() if is_ascending else column.desc() for column in by))
    # The columns of the order come along: the cursor is made of them, whatever the row is.
    found = session.execute(ordered.add_columns(*by).limit(at.limit + 1)).unique().all()
    rows = [row[0] for row in found[: at.limit]]
    more = len(found) > at.limit
    return Paged(rows=rows, next_cursor=_write(found[at.limit - 1][1:]) if more else None)


def _write(values: Sequence[object]) -> str:
    texts = [value.isoformat() if isinstance(value, date) else value for value in values]
    return urlsafe_b64encode(json.dumps(texts, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _read(cursor: str, by: Sequence[InstrumentedAttribute[Any] | ColumnElement[Any]]) -> list[object]:
    try:
        values = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or len(values) != len(by):
            raise ValueError("a cursor of another list")
        return [_value(value, column.type.python_type) for value, column in zip(values, by, strict=True)]
    except (ValueError, TypeError) as error:
        raise CursorInvalid("the cursor is not one that this list gave out; begin again without it") from error


def _value(value: object, kind: type[object]) -> object:
    if kind is datetime and isinstance(value, str):
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at
    if kind is date and isinstance(value, str):
        return date.fromisoformat(value)
    if kind is str and isinstance(value, str) and "\0" not in value:
        return value
    if kind is int and isinstance(value, int) and abs(value) < 2**63:
        return value
    raise ValueError("not of this column")
