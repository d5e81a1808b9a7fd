"""
The seat of an encode under a floating license: asked for before it starts, renewed while it runs, then given back.

Nothing here is on the way of a frame, and nothing that happens after the start touches the encode: renewals run on a
thread of their own, and a seat that is lost is only asked for again. Where nobody answers, whoever had a seat before
goes on; `docs/decisions/0012-seats-when-nobody-answers.md` says for how long.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from narrows_licensing.document import OpenedFile
from narrows_licensing.entitlement import Overage
from narrows_licensing.errors import LicensingError
from narrows_licensing.lease import Lease, read_lease, renewal_time
from narrows_licensing.lease_request import LeaseRequest

from narrows.installation import Installation
from narrows.license.lease import held_lease, keep_lease, lease_path
from narrows.license.place import Place
from narrows.settings import Settings

WAIT_SECONDS: Final = 3.0  # That a start or an end waits for an answer, at most.
RETRY: Final = timedelta(seconds=60)  # After nobody answered, from half of this on.


@dataclass(frozen=True, slots=True)
class Leased:
    """A lease, not read yet."""

    document: str


@dataclass(frozen=True, slots=True)
class Turned:
    """Somebody answered, and it was no."""

    detail: str


@dataclass(frozen=True, slots=True)
class Away:
    """Nobody answered."""

    detail: str


class Desk(Protocol):
    """Where seats are asked for: `lease_client.LeaseClient`."""

    def ask(self, request: str) -> Leased | Turned | Away: ...

    def give_back(self, request: str) -> bool: ...

    def close(self) -> None: ...


def _connect(url: str) -> Desk:
    from narrows.license.lease_client import LeaseClient  # httpx takes a while to load, and few licenses float.

    return LeaseClient(url)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What seats depend on besides the state folder."""

    connect: Callable[[str], Desk] = _connect
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))  # Aware.
    chance: random.Random = field(default_factory=random.Random)
    wait_seconds: float = WAIT_SECONDS


class SeatKeeper:
    """Asks for one seat again and again. Makes no thread; `HeldSeat` does."""

    def __init__(self, settings: Settings, opened: OpenedFile, token: str, *, place: Place, world: World) -> None:
        self._settings, self._opened, self._token, self._place = settings, opened, token, place
        self.world: World = world
        self._installation = Installation.open(settings.state_folder)
        url = settings.relay_url or opened.license.metering.report_url
        self._desk = world.connect(url) if url is not None else None
        self._answer: Leased | Turned | Away = Away(f"nobody has answered within {world.wait_seconds:.0f} s")
        at = world.clock()
        # The last one, of this session or of one before.
        self._lease: Lease | None = held_lease(settings, opened, at=at, place=place.number)
        self.until = self._until_unseated(at)  # Until when an encode may start, by the clock here; None if it may not.
        self.next_at: datetime = at

    @property
    def borrowed_until(self) -> datetime | None:
        """When the seat that was taken along ends; None if none was."""
        return self._lease.expires_at if self._lease is not None and self._lease.is_borrowed else None

    @property
    def detail(self) -> str:
        """Why there is no seat."""
        return self._answer.detail if isinstance(self._answer, Turned | Away) else "the lease has ended"

    def ask(self, *, borrow: timedelta = timedelta(0)) -> None:
        """Ask once, and keep what comes. Never raises for what comes."""
        at = self.world.clock()
        if not borrow and self._lease is not None and self._lease.is_borrowed and at < self._lease.expires_at:
            self.until = self.next_at = self._lease.expires_at
            return
        if self._desk is None:
            self._answer = Away("neither the license nor NARROWS_RELAY names a server to ask for a seat")
        else:
            self._answer = self._desk.ask(self._request(at, borrow=borrow))
        if isinstance(self._answer, Leased):
            self._take(self._answer.document, at)
        else:
            self.until = self._until_unseated(at)
            self.next_at = at + RETRY * self.world.chance.uniform(0.5, 1)

    def give_back(self) -> None:
        """
        Give the seat back, unless it was borrowed; whether anybody hears it or not, it ends by itself.

        The lease stays in its file: it says that there was one, should nobody answer the next time.
        """
        at, lease = self.world.clock(), self._lease
        if self._desk is None or lease is None or lease.is_borrowed:
            return
        if isinstance(self._answer, Leased) or at < lease.expires_at:
            self._desk.give_back(self._request(at, gives_back=lease.lease_id))

    def bring_back(self) -> bool:
        """Give a borrowed seat back before its end, and forget it once that was heard; says whether it was."""
        if self._desk is None or self._lease is None:
            return False
        is_heard = self._desk.give_back(self._request(self.world.clock(), gives_back=self._lease.lease_id))
        if is_heard:
            lease_path(self._settings, self._place.number).unlink(missing_ok=True)
            self._lease = None
        return is_heard

    def close(self) -> None:
        """Leave the place. Again is harmless."""
        if self._desk is not None:
            self._desk.close()
        self._place.leave()

    def _request(self, at: datetime, *, borrow: timedelta = timedelta(0), gives_back: str | None = None) -> str:
        return LeaseRequest(
            key=self._installation.key.public_key(),
            license_token=self._token,
            place=self._place.number,
            asked_at=at,
            borrow=borrow,
            gives_back=gives_back,
        ).sign(self._installation.key)

    def _take(self, document: str, at: datetime) -> None:
        assert self._opened.bundle is not None  # Only development licenses have none, and none of those floats.
        try:
            lease = read_lease(document, self._opened.bundle, self._opened.revocations, at=at)
        except LicensingError as error:
            self._answer = Turned(f"the lease that came is not to be believed: {error}")
            self.until, self.next_at = self._until_unseated(at), at + RETRY
            return
        with suppress(OSError):  # On a full disk the seat is lost at a restart, and nothing else.
            keep_lease(self._settings, document, self._place.number)
        # Counted from the asking, by the clock here: a lease lasts as long on a machine whose clock is wrong. One for
        # days may come back as it was issued days ago.
        ahead = timedelta(0) if lease.is_borrowed else at - lease.issued_at
        self._lease = lease
        self.until = lease.expires_at + ahead
        self.next_at = renewal_time(lease, self.world.chance) + ahead

    def _until_unseated(self, at: datetime) -> datetime | None:
        """Until when an encode may start although it got no seat now; None if it may not."""
        license, lease = self._opened.license, self._lease
        if lease is not None and at < lease.expires_at:
            return lease.expires_at
        if isinstance(self._answer, Turned):
            return None
        if license.entitlements.overage is Overage.ALWAYS:
            return at + RETRY  # No pool of this license is ever full, so nobody else is kept waiting.
        if lease is not None and at < lease.expires_at + license.grace:
            return lease.expires_at + license.grace
        return None


class HeldSeat:
    """A seat with the thread that renews it. Close it when the encode is over."""

    def __init__(self, keeper: SeatKeeper, *, wait: Callable[[float], bool] | None = None) -> None:
        self._keeper = keeper
        self._stop = threading.Event()
        self._has_asked = threading.Event()
        self._wait = wait or self._stop.wait
        self._thread = threading.Thread(target=self._run, name="narrows-seat", daemon=True)
        self._thread.start()
        self._has_asked.wait(keeper.world.wait_seconds)

    @property
    def until(self) -> datetime | None:
        """Until when an encode may start; None if it may not."""
        return self._keeper.until

    @property
    def detail(self) -> str:
        """Why it may not."""
        return self._keeper.detail

    def close(self) -> None:
        """Give the seat back; waits a moment for that to be heard, and no longer. Again is harmless."""
        self._stop.set()
        self._thread.join(self._keeper.world.wait_seconds)

    def _run(self) -> None:
        try:
            self._keeper.ask()
            self._has_asked.set()
            while not self._wait(max(1.0, (self._keeper.next_at - self._keeper.world.clock()).total_seconds())):
                self._keeper.ask()
            self._keeper.give_back()
        finally:
            self._has_asked.set()
            self._keeper.close()
