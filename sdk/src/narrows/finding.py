"""What a doctor found: the outcome of one check, what was seen, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How one check came out."""

    GOOD = "good"
    NOTICE = "notice"  # Works, and should be seen to.
    BAD = "bad"  # Does not work.
    SKIPPED = "skipped"  # Not looked at, or not needed here.


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. Whoever finds a notice or worse says what to do."""

    check: str
    outcome: Outcome
    detail: str
    todo: str | None = None
