"""
How long to wait after wrong passwords and codes: counted by account, also one that does not exist, and by address.

An attempt is counted before it is checked, so that a hundred at the same moment are a hundred attempts. After a
hundred failures in a row nothing is taken for the account until its password is reset (NIST SP 800-63B, 3.2.2).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from narrows_server.errors import TooManyAttempts
from narrows_server.people.models import Attempts

WAIT_MAX = timedelta(minutes=15)
FAILURES_MAX = 100
FORGOTTEN_AFTER = timedelta(days=1)
FREE_OF_ACCOUNT, FREE_OF_ADDRESS = 5, 30
_FOREVER = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Counted:
    """What failures are counted for: an account, or the address that they come from."""

    kind: str
    name: str

    @property
    def digest(self) -> str:
        """What it is stored as."""
        return hashlib.sha256(f"{self.kind}\n{self.name}".encode("utf-8", "replace")).hexdigest()

    @property
    def free(self) -> int:
        """How many failures cost nothing."""
        return FREE_OF_ADDRESS if self.kind == "address" else FREE_OF_ACCOUNT

    @property
    def failures_max(self) -> int | None:
        """After how many failures in a row there is no more waiting, but an end; an address only waits."""
        return None if self.kind == "address" else FAILURES_MAX


def wait_after(failures: int, *, free: int, failures_max: int | None = None) -> timedelta:
    """The wait after so many failures in a row: 1 s after the first that is not free, doubling to 15 minutes."""
    if failures_max is not None and failures >= failures_max:
        return _FOREVER
    if failures < free:
        return timedelta(0)
    return min(WAIT_MAX, timedelta(seconds=2 ** min(failures - free, 20)))


def count_attempt(session: Session, counted: Counted, *, at: datetime) -> None:
    """
    Count an attempt as a failure, which `forgive` takes back. Raises `TooManyAttempts` if it comes too soon; then it
    is not counted.
    """
    row = _lock(session, counted, at=at)
    if row.failures and counted.kind == "address" and at >= row.last_at + FORGOTTEN_AFTER:
        row.failures = 0
    free_at = row.last_at + wait_after(row.failures, free=counted.free, failures_max=counted.failures_max)
    if row.failures and at < free_at:
        seconds = ceil((free_at - at).total_seconds())
        raise TooManyAttempts("wait before you try again, or ask an owner to reset", retry_after_seconds=seconds)
    row.failures, row.last_at = row.failures + 1, at


def forgive(session: Session, counted: Counted) -> None:
    """Forget the failures: the right password or code came, or a new one was set."""
    session.execute(delete(Attempts).where(Attempts.digest == counted.digest))


def forget_old(session: Session, *, at: datetime) -> None:
    """Remove what is too old to matter."""
    old = delete(Attempts).where(Attempts.last_at <= at - FORGOTTEN_AFTER, Attempts.failures < FAILURES_MAX)
    session.execute(old)


def _lock(session: Session, counted: Counted, *, at: datetime) -> Attempts:
    query = select(Attempts).where(Attempts.digest == counted.digest).with_for_update()
    row = session.scalars(query).first()
    if row is not None:
        return row
    try:
        with session.begin_nested():
            row = Attempts(digest=counted.digest, failures=0, last_at=at)
            session.add(row)
            session.flush()
    except IntegrityError:  # Another request made it in the meantime.
        return session.scalars(query).one()
    return row
