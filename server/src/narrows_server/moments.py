"""Days and moments in requests, as RFC 3339 writes them and in no other way: 0 is not the first of January 1970."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _written_as(pattern: re.Pattern[str], example: str) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, date) or (isinstance(value, str) and pattern.fullmatch(value)):
            return value
        raise ValueError(f"write it as {example}")

    return BeforeValidator(check)


Day = Annotated[date, _written_as(_DAY, "2026-11-23")]
Moment = Annotated[AwareDatetime, _written_as(_MOMENT, "2026-11-23T08:00:00Z")]
