"""
What came of the attempts to report: a small file beside the ledger, so that every process of this machine knows.

It is a note and not a record: losing it costs a question to the server, never usage. What cannot be read counts as
nothing, and what cannot be written is not.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from narrows.atomic_file import replacing
from narrows.reporting.backoff import BACKOFF_MAX, RETRY_AFTER_MAX

NOTE: Final = "reporter.json"
ERROR_CHARACTERS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """The last attempt and the next; what never happened is None."""

    last_attempt_at: datetime | None = None
    last_success_at: datetime | None = None
    last_error: str | None = None  # Of the last attempt; None if it went well.
    failure_count: int = 0  # In a row.
    next_attempt_at: datetime | None = None  # Not before this; None where nothing has to be waited for.
    pruned_at: datetime | None = None

    def wait(self, now: datetime) -> timedelta:
        """How long the server is to be left alone yet."""
        if self.next_attempt_at is None:
            return timedelta(0)
        wait = self.next_attempt_at - now
        # More than anybody ever asks for means that the clock was set back.
        return wait if timedelta(0) < wait <= RETRY_AFTER_MAX + BACKOFF_MAX else timedelta(0)


def read_attempts(state_folder: Path) -> Attempts:
    """What was noted last."""
    try:
        noted = json.loads((state_folder / NOTE).read_bytes())
        return Attempts(
            last_attempt_at=_time(noted["last_attempt_at"]),
            last_success_at=_time(noted["last_success_at"]),
            last_error=None if noted["last_error"] is None else str(noted["last_error"]),
            failure_count=int(noted["failure_count"]),
            next_attempt_at=_time(noted["next_attempt_at"]),
            pruned_at=_time(noted["pruned_at"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return Attempts()


def note_attempts(state_folder: Path, attempts: Attempts) -> None:
    """Note *attempts* for all to read, whole or not at all."""
    document = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in _fields(attempts)}
    with suppress(OSError), replacing(state_folder / NOTE) as file:
        file.write(json.dumps(document).encode())


def _fields(attempts: Attempts) -> list[tuple[str, object]]:
    return list(asdict(attempts).items())


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time
