"""The audit log as a file: NDJSON for programs, CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from types import MappingProxyType
from typing import Literal

from sqlalchemy.orm import Session

from narrows_server import audit

Format = Literal["ndjson", "csv"]
MEDIA_TYPES = MappingProxyType({"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"})
COLUMNS = ("id", "at", "actor", "action", "subject", "detail", "hash")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_trail(session: Session, kind: Format) -> Iterator[str]:
    """Every change, oldest first, a line at a time."""
    if kind == "csv":
        yield _csv_line(COLUMNS)
    for row, link in audit.walk(session):
        values = (
            row.id,
            row.at.isoformat(),
            row.actor,
            row.action,
            row.subject,
            row.detail,
            link.hash if link else None,
        )
        if kind == "csv":
            yield _csv_line(tuple("" if value is None else csv_text(str(value)) for value in values))
        else:
            named = dict(zip(COLUMNS, values, strict=True)) | {"detail": json.loads(row.detail)}
            yield json.dumps(named, ensure_ascii=False) + "\n"


def csv_text(text: str) -> str:
    """*text* as a cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv_line(values: tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()
