"""A machine with a floating license and the desk that it asks for seats: a real relay, that can be taken away."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from narrows.license.gate import read_license
from narrows.license.place import take_place
from narrows.license.seat import Away, Leased, SeatKeeper, Turned, World
from narrows.settings import Settings
from narrows_licensing.document import OpenedFile
from narrows_licensing.entitlement import Overage
from narrows_licensing.license import License
from narrows_licensing.verdict import Refused

from tests.licensing.relay.sites import VENDOR, Clock, SiteRelay, a_floating_license


@dataclass(slots=True)
class RelayDesk:
    """Asks the relay in this process, unless there is no network."""

    relay: SiteRelay
    is_there: bool = True
    calls: int = 0

    def ask(self, request: str) -> Leased | Turned | Away:
        self.calls += 1
        if not self.is_there:
            return Away("no network")
        answer = self.relay.desk.lease(request)
        return Leased(answer) if isinstance(answer, str) else Turned("all seats are taken")

    def give_back(self, request: str) -> bool:
        self.calls += 1
        return self.is_there and self.relay.desk.free(request)

    def close(self) -> None:
        pass


@dataclass(slots=True, kw_only=True)
class Machine:
    """An installation of the customer."""

    settings: Settings
    desk: RelayDesk
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    wait_seconds: float = 3.0
    _keepers: list[SeatKeeper] = field(default_factory=list)

    @property
    def clock(self) -> Clock:
        return self.desk.relay.clock

    @property
    def world(self) -> World:
        return World(connect=lambda _: self.desk, clock=self.clock, chance=self.chance, wait_seconds=self.wait_seconds)

    def opened(self) -> tuple[str, OpenedFile]:
        read = read_license(self.settings, self.clock())
        assert not isinstance(read, Refused), read
        return read

    def keeper(self) -> SeatKeeper:
        """The keeper of a new session, which has asked nobody yet."""
        token, opened = self.opened()
        place = take_place(self.settings.state_folder)
        assert place is not None
        self._keepers.append(SeatKeeper(self.settings, opened, token, place=place, world=self.world))
        return self._keepers[-1]

    def close(self) -> None:
        """Leave every place."""
        for keeper in self._keepers:
            keeper.close()


def a_machine(folder: Path, relay: SiteRelay, *, overage: Overage = Overage.NONE, **changes: Any) -> Machine:
    """A machine with an empty state folder; *changes* are to its license."""
    folder.mkdir(parents=True)
    license: License = a_floating_license(**changes)
    license = replace(license, entitlements=replace(license.entitlements, overage=overage))
    (folder / "license.json").write_text(VENDOR.license_file(license))
    (folder / "roots.json").write_text(VENDOR.roots.to_json())
    settings = Settings(
        license_path=folder / "license.json", roots_path=folder / "roots.json", state_folder=folder / "state"
    )
    return Machine(settings=settings, desk=RelayDesk(relay))


MONTH = timedelta(days=30)
