"""
One run of the simulation: machines, network, server and time, all from one seed, against the oracle.

The run draws what happens next until its steps are used up. Then all faults end, everybody reports what is left, and
the server's books are compared with the oracle's dictionary. Any difference is a bug.
"""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from narrows.errors import LedgerDamaged
from narrows_metering import errors as metering
from narrows_metering.ledger import Entry
from narrows_metering.record import Kind, Record
from narrows_metering.testing import a_delivery, an_encode

from .machine import FAILURES, Machine
from .network import Network
from .oracle import SERVER, Event, Oracle
from .server import Server, event_of

STEPS: Final = 12
MACHINES_MAX: Final = 4
SETTLING_ROUNDS: Final = 12
FAMILIES: Final[dict[str, tuple[str, ...]]] = {
    # What happens besides recording and reporting. Every seed belongs to one family: seed modulo their number.
    "network": ("kill",),
    "disk": ("kill", "power", "power", "full", "flip"),
    "copies": ("clone", "keep copy", "restore copy", "kill"),
    "server": ("back up server", "restore server", "restore server", "kill"),
    "copies again": ("clone", "keep copy", "restore copy", "restore copy", "power"),
    "everything": (
        *("kill", "power", "full", "clone", "keep copy", "restore copy"),
        *("back up server", "restore server"),
    ),
}
HAPPENINGS: Final = (
    "process killed",
    "power cut",
    "write lost, torn or reordered",
    "disk full",
    "bit flipped on disk",
    "machine cloned",
    "older copy restored",
    "server database lost",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a seed came to."""

    seed: int
    family: str
    steps: int
    events: int
    faults: Counter[str]
    differences: tuple[str, ...]
    log: tuple[str, ...]


@dataclass(slots=True)
class World:
    """Everything of one seed, below *folder*; `run` is called once."""

    seed: int
    folder: Path  # Empty; removed in the end.
    server: Server  # As nobody has used it, or else it is reset.
    chance: random.Random = field(init=False)
    oracle: Oracle = field(default_factory=Oracle)
    faults: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    network: Network = field(init=False)
    machines: list[Machine] = field(default_factory=list)
    _copies: list[tuple[str, Path, frozenset[Event]]] = field(default_factory=list)  # Machine, folder, what it holds.
    _backups: list[tuple[bytes, frozenset[Event]]] = field(default_factory=list)  # Of the server.
    _numbers: int = 0
    _steps: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.network = Network(self.server, random.Random(self.chance.random()), self._fault, self._key_of)

    def run(self) -> Outcome:
        """Play the seed to its end."""
        self.server.reset()
        try:
            self._install()
            self._backups.append((self.server.backup(), frozenset()))
            self._play()
            self._settle()
            self._compare()
        finally:
            for machine in self.machines:
                machine.remove()
            shutil.rmtree(self.folder)
        return Outcome(
            seed=self.seed,
            family=self.family,
            steps=self._steps,
            events=len(self.oracle.places),
            faults=self.faults,
            differences=tuple(self.differences),
            log=tuple(self.log),
        )

    @property
    def family(self) -> str:
        return list(FAMILIES)[self.seed % len(FAMILIES)]

    @property
    def now(self) -> datetime:
        return self.server.clock.at

    def _install(self) -> None:
        """A machine that nobody has used."""
        self._numbers += 1
        name = f"machine-{self._numbers}"
        self.machines.append(
            Machine.install(
                name,
                self.folder / name,
                seed=self.seed,
                license_token=self.server.license_token,
                receipt_keys=self.server.receipt_keys,
                network=self.network,
                clock=lambda: self.now,
            )
        )

    def _play(self) -> None:
        self.network.fault_rate = self.chance.choice((0.1, 0.4, 0.7) if self.family == "network" else (0.0, 0.1, 0.3))
        happenings = FAMILIES[self.family]
        for _ in range(STEPS):
            self._steps += 1
            self.server.clock.at += timedelta(seconds=self.chance.randrange(1, 600))
            self.network.arrive()
            machine = self.chance.choice(self.machines)
            draw = self.chance.random()
            if draw < 0.35:
                self._record(machine)
            elif draw < 0.7:
                self._report(machine)
            else:
                self._happenings[self.chance.choice(happenings)](self, machine)

    def _settle(self) -> None:
        """No faults any more: everybody records one last event and reports until nothing is left."""
        self._say("all faults end")
        while self.network.delayed:
            self.network.arrive()
        self.network.fault_rate = 0.0
        for machine in list(self.machines):
            self._record(machine)
        for _ in range(SETTLING_ROUNDS):
            self.server.clock.at += timedelta(hours=1)
            left = [machine for machine in list(self.machines) if not self._report(machine)]
            if not left:
                return
        self.differences.append("not everything was reported in the end")

    def _compare(self) -> None:
        if unproven := self.server.unproven():
            self.differences.append(f"{unproven} receipts are not in the transparency log")
        for machine in self.machines:
            try:
                machine.start().ledger.verify(machine.receipt_keys)
            except (*FAILURES, metering.ReceiptRefused) as error:
                self.differences.append(f"the ledger of {machine.name} does not hold in the end: {error}")
        try:
            self.differences += self.oracle.differences(*self.server.billed())
        except metering.ChainBroken as broken:
            self.differences.append(f"the server's books do not hold: {broken}")

    def _record(self, machine: Machine) -> bool:
        """Record a few events; whether the SDK says that it did."""
        entries, events = [], []
        for _ in range(self.chance.choice((1, 1, 2, 3))):
            self._numbers += 1
            # The amount is the event's name: unlike anything else in a payload it is what gets billed.
            amount = self.chance.randrange(1, 1_000) * 1_000_000 + self._numbers
            kind = self.chance.choice((Kind.DELIVERY, Kind.DELIVERY, Kind.ENCODE))
            payload = (
                a_delivery(delivered=amount, source_digest="")
                if kind is Kind.DELIVERY
                else an_encode() | {"bytes": amount}
            )
            entries.append(Entry(kind=kind, payload=payload, time=self.now))
            events.append((kind.value, amount))
            self.oracle.tried((kind.value, amount), amount)
        try:
            machine.append(entries)
        except FAILURES as error:
            self._say(f"{machine.name} could not record {len(entries)}: {_brief(error)}")
            self._expect_no_damage(machine, error)
            return False
        self.oracle.put(events, machine.name)
        self._say(f"{machine.name} recorded {len(entries)}")
        return True

    def _report(self, machine: Machine) -> bool:
        """Let *machine* report; whether nothing is left unsent."""
        done = False
        try:
            machine.report()
            self._say(f"{machine.name} reported")
            done = True
        except FAILURES as error:
            self._say(f"{machine.name} could not report: {_brief(error)}")
            self._expect_no_damage(machine, error)
        self.oracle.put(machine.newly_acknowledged(), SERVER)
        self._expect_kept_promise(machine)
        return done

    def _expect_kept_promise(self, machine: Machine) -> None:
        """What a receipt covers is in the server's books at that moment: a gap that heals later is a broken promise."""
        if machine.meter is None or self.faults["server database lost"]:
            return
        ledger = machine.meter.ledger
        if ledger.acknowledged() > self.server.head_seq(ledger.installation_id):
            self.differences.append(f"{machine.name} has a receipt for records that the server does not hold")

    def _expect_no_damage(self, machine: Machine, error: Exception) -> None:
        """Bits are flipped, found and recovered from in one step; at all other times nothing is damaged."""
        if isinstance(error, LedgerDamaged | metering.LedgerDamaged) and not machine.disk.is_dead:
            self.differences.append(f"{machine.name} says that its ledger is damaged, and nobody damaged it: {error}")

    def _kill(self, machine: Machine) -> None:
        self._fault("process killed")
        machine.kill()

    def _power(self, machine: Machine) -> None:
        """Cut the power in the middle of whatever the machine does next."""
        machine.disk.dies_after = machine.disk.operations + self.chance.randrange(1, 25)
        for _ in range(6):
            is_fine = self._record(machine) if self.chance.random() < 0.7 else self._report(machine)
            if machine.disk.is_dead or (not is_fine and machine.meter is None):
                break
        lost = machine.cut_power(self.chance)
        self._fault("power cut")
        if lost:
            self._fault("write lost, torn or reordered")

    def _full(self, machine: Machine) -> None:
        """Let the disk run full while the machine records, and make room again."""
        self._fault("disk full")
        machine.disk.room = sum(p.stat().st_size for p in machine.folder.iterdir()) + self.chance.randrange(0, 30_000)
        for _ in range(12):
            if not self._record(machine):
                break
        machine.disk.room = None

    def _flip(self, machine: Machine) -> None:
        """Turn one bit of the closed ledger: everything still holds, or the SDK says that it does not."""
        machine.kill()
        try:
            # SQLite takes a damaged end of its log for one that was never finished; only a closed file is judged.
            ledger = machine.start().ledger
            before = list(ledger.records())
            machine.stop()
        except FAILURES:
            return
        path = ledger.path
        content = bytearray(path.read_bytes())
        content[self._place_in(content)] ^= 1 << self.chance.randrange(8)
        path.write_bytes(content)
        machine.disk.replug()
        self._fault("bit flipped on disk")
        try:
            ledger = machine.start().ledger
            ledger.verify()
            if list(ledger.records()) != before:
                self.differences.append(f"a bit changed the ledger of {machine.name}, and it verifies")
            self._say(f"{machine.name}: the bit meant nothing")
        except FAILURES as error:
            self._say(f"{machine.name}: damage found ({type(error).__name__})")
            self._recover(machine, before)

    def _recover(self, machine: Machine, before: list[Record]) -> None:
        """Let the SDK go on after damage; the good records must all be billed, the others may be lost."""
        try:
            recovered = machine.recover()
        except FAILURES as error:
            self.differences.append(f"{machine.name} could not recover: {error}")
            return
        if recovered is None:
            self.differences.append(f"{machine.name} says that its ledger is damaged, and does not recover it")
            return
        lost = {event_of(record) for record in before if record.seq > recovered.good_seq}
        self.oracle.replace(machine.name, frozenset(self.oracle.held(machine.name) - lost))
        self._say(f"{machine.name} recovered up to {recovered.good_seq} of {before[-1].seq if before else 0}")

    def _key_of(self, installation_id: str) -> Ed25519PrivateKey:
        for machine in self.machines:
            if (key := machine.find_key(installation_id)) is not None:
                return key
        raise AssertionError("an installation that lives nowhere reported something")

    def _place_in(self, content: bytearray) -> int:
        """Any byte of a file, every other time one of a record: most of a small file is empty."""
        at = content.find(b'{"kind":', int(self.chance.random() * len(content)))
        if at >= 0 and self.chance.random() < 0.5:
            return at + self.chance.randrange(300)
        return int(self.chance.random() * len(content))

    def _clone(self, machine: Machine) -> None:
        if len(self.machines) >= MACHINES_MAX:
            return
        self._fault("machine cloned")
        self._numbers += 1
        name = f"clone-{self._numbers}"
        self.machines.append(machine.clone(name, self.folder / name))
        self.oracle.replace(name, self.oracle.held(machine.name))

    def _keep_copy(self, machine: Machine) -> None:
        folder = self.folder / f"copy-{len(self._copies)}"
        shutil.copytree(machine.folder, folder, ignore=shutil.ignore_patterns("*-shm"))
        self._copies.append((machine.name, folder, self.oracle.held(machine.name)))
        self._say(f"{machine.name} is backed up")

    def _restore_copy(self, machine: Machine) -> None:
        mine = [(folder, held) for name, folder, held in self._copies if name == machine.name]
        if not mine:
            self._keep_copy(machine)
            return
        self._fault("older copy restored")
        folder, held = self.chance.choice(mine)
        machine.restore(folder)
        self.oracle.replace(machine.name, held)

    def _back_up_server(self, _: Machine) -> None:
        self._backups.append((self.server.backup(), self.oracle.held(SERVER)))
        self._say("the server is backed up")

    def _restore_server(self, _: Machine) -> None:
        self._fault("server database lost")
        backup, held = self.chance.choice(self._backups)
        self.server.restore(backup)
        self.oracle.replace(SERVER, held)

    def _fault(self, name: str) -> None:
        self.faults[name] += 1
        self._say(f"! {name}")

    def _say(self, text: str) -> None:
        self.log.append(f"{self._steps:3} {self.now:%H:%M:%S} {text}")

    _happenings: ClassVar[dict[str, Callable[[World, Machine], None]]] = {
        "kill": _kill,
        "power": _power,
        "full": _full,
        "flip": _flip,
        "clone": _clone,
        "keep copy": _keep_copy,
        "restore copy": _restore_copy,
        "back up server": _back_up_server,
        "restore server": _restore_server,
    }


def _brief(error: Exception) -> str:
    """What went wrong, without what differs from run to run: ids, folders and random numbers."""
    code = getattr(error, "code", None)
    return str(code) if code else f"{type(error).__name__} {_RANDOM.sub('…', str(error))[:100]}"


_RANDOM: Final = re.compile(r"/[^ :]+|[A-Za-z0-9_-]{20,}")
