"""
Usage on this machine: opens the installation's ledger and maps its errors to the SDK's.

Everything here is local. What is sent, and when, is `reporter`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from narrows_metering import errors as metering
from narrows_metering.ledger import Ledger

from narrows.errors import LedgerDamaged, UsageError
from narrows.installation import Installation
from narrows.settings import Settings


@contextmanager
def translated() -> Iterator[None]:
    """Map what metering raises to UsageError and its kinds."""
    try:
        yield
    except metering.LedgerDamaged as error:
        raise LedgerDamaged(str(error), sequence=error.sequence) from error
    except metering.MeteringError as error:
        raise UsageError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Meter:
    """The installation and its open ledger."""

    installation: Installation
    ledger: Ledger

    def latest_time_seen(self) -> datetime | None:
        """The latest time that this machine is known to have lived through: the ratchet against a wound-back clock."""
        head = self.ledger.head()
        times = [record.time for record in self.ledger.records(after=head.seq - 1)] if head.seq else []
        receipt = self.ledger.latest_receipt()
        if receipt is not None:
            times.append(receipt.time)
        return max(times, default=None)


@contextmanager
def open_meter(settings: Settings) -> Iterator[Meter]:
    """The installation's identity and ledger, made at first use; raises UsageError and LedgerDamaged."""
    installation = Installation.open(settings.state_folder)
    with translated(), Ledger.open(settings.ledger_path, installation_id=installation.id) as ledger:
        yield Meter(installation, ledger)
