"""
A customer's machine: a state folder on a disk of its own, and a process of the SDK that may die at any moment.

Everything that it does goes through the SDK's own functions; what it adds is only what happens *to* machines.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from narrows.errors import UsageError
from narrows.reporting.client import MeteringClient
from narrows.reporting.reporter import report_usage
from narrows.settings import Settings
from narrows.usage.machine import Meter, Recovered, open_meter, recover
from narrows_licensing.signature import thumbprint
from narrows_metering.errors import MeteringError
from narrows_metering.ledger import Entry
from narrows_metering.record import Record

from .disk import Disk
from .network import Network
from .oracle import Event
from .server import copy_folder, event_of

FAILURES = (UsageError, MeteringError)
"""What the SDK says when it could not do something."""


@dataclass(slots=True, kw_only=True)
class Machine:
    """One machine; *meter* is open while its process runs."""

    name: str
    folder: Path
    license_token: str
    receipt_keys: Mapping[str, Ed25519PublicKey]
    network: Network
    clock: Callable[[], datetime]
    disk: Disk
    meter: Meter | None = None
    _acknowledged: dict[str, int] = field(default_factory=dict)  # By installation.
    _process: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def install(
        cls,
        name: str,
        folder: Path,
        *,
        seed: int,
        license_token: str,
        receipt_keys: Mapping[str, Ed25519PublicKey],
        network: Network,
        clock: Callable[[], datetime],
    ) -> Machine:
        """A new machine whose keys come from the seed; all later keys are as random as the SDK makes them."""
        folder.mkdir(mode=0o700)
        for file in ("installation.key", "asset.key"):
            path = folder / file
            path.write_bytes(sha256(f"{seed} {name} {file}".encode()).digest())
            path.chmod(0o600)
        return cls(
            name=name,
            folder=folder,
            license_token=license_token,
            receipt_keys=receipt_keys,
            network=network,
            clock=clock,
            disk=Disk(folder).__enter__(),
        )

    @property
    def settings(self) -> Settings:
        return Settings(license_path=self.folder / "license.json", roots_path=None, state_folder=self.folder)

    def start(self) -> Meter:
        """The process, started if it does not run. Raises as `open_meter` does."""
        if self.meter is None:
            with ExitStack() as opening:
                self.meter = opening.enter_context(open_meter(self.settings, clock=self.clock))
                self._process = opening.pop_all()
        return self.meter

    def append(self, entries: Sequence[Entry]) -> tuple[Record, ...]:
        """Record *entries*; they are durable once this returns."""
        return self.start().append_all(entries)

    def report(self) -> None:
        """Send what is unsent, once. Raises what the SDK raises."""
        meter = self.start()
        with MeteringClient("http://narrows.test", transport=self.network) as client:
            report_usage(
                self.settings,
                meter,
                client,
                license_token=self.license_token,
                receipt_keys=self.receipt_keys,
                at=self.clock(),
            )

    def recover(self) -> Recovered | None:
        """Go on after damage, as `narrows usage recover` does."""
        self.kill()
        return recover(self.settings, at=self.clock())

    def newly_acknowledged(self) -> list[Event]:
        """The events that receipts cover since this was asked last."""
        if self.meter is None:
            return []
        ledger, events = self.meter.ledger, list[Event]()
        for one in (ledger,):
            known, now = self._acknowledged.get(one.installation_id, 0), one.acknowledged()
            self._acknowledged[one.installation_id] = now
            records = one.records(known, now - known) if now > known else ()
            events += [event for record in records if (event := event_of(record)) is not None]
        return events

    def find_key(self, installation_id: str) -> Ed25519PrivateKey | None:
        """The key of an installation that lives, or lived, on this machine."""
        keys = [
            Ed25519PrivateKey.from_private_bytes(path.read_bytes()) for path in self.folder.glob("installation*.key")
        ]
        return next((key for key in keys if thumbprint(key.public_key()) == installation_id), None)

    def stop(self) -> None:
        """End the process in good order."""
        self._process.close()
        self.meter = None

    def kill(self) -> None:
        """End the process as `kill -9` does: it closes nothing, and the operating system keeps what it wrote."""
        self.disk.stop()
        with suppress(*FAILURES):
            self._process.close()
        self.meter = None
        self.disk.resume()

    def cut_power(self, chance: random.Random) -> int:
        """End the process and lose what it did not wait for; returns how many writes were lost or torn."""
        self.kill()
        return self.disk.cut_power(chance)

    def restore(self, copy: Path) -> None:
        """Put *copy* in the place of the state folder, as somebody with a backup does."""
        self.kill()
        copy_folder(copy, self.folder)
        self.disk.replug()
        self._acknowledged.clear()

    def clone(self, name: str, folder: Path) -> Machine:
        """Another machine with the same state, as a snapshot of a running virtual machine gives it."""
        copy_folder(self.folder, folder)
        return Machine(
            name=name,
            folder=folder,
            license_token=self.license_token,
            receipt_keys=self.receipt_keys,
            network=self.network,
            clock=self.clock,
            disk=Disk(folder).__enter__(),
        )

    def remove(self) -> None:
        """Switch the machine off for good."""
        self.kill()
        self.disk.__exit__()
