"""
The leases that this machine holds of a floating license: files in the state folder, one for each seat.

They are fetched and renewed by `seat`. A lease that ends while an encode runs changes nothing for that encode.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from narrows_licensing.document import OpenedFile
from narrows_licensing.errors import LicensingError
from narrows_licensing.lease import LEASE_BYTES_MAX, Lease, read_lease
from narrows_licensing.lease_request import holder_of

from narrows.atomic_file import replacing
from narrows.installation import Installation
from narrows.settings import Settings


def lease_path(settings: Settings, place: int = 0) -> Path:
    """Where the lease of the encode at *place* is kept; encodes that run side by side have a seat each."""
    return settings.state_folder / ("lease.json" if place == 0 else f"lease-{place}.json")


def held_lease(settings: Settings, opened: OpenedFile, *, at: datetime, place: int = 0) -> Lease | None:
    """
    The last lease of the opened license that this installation got, ended or not; None if there is none to believe.
    """
    if opened.bundle is None:
        return None
    with suppress(OSError, LicensingError):
        path = lease_path(settings, place)
        if path.stat().st_size <= LEASE_BYTES_MAX:
            lease = read_lease(path.read_text(errors="replace"), opened.bundle, opened.revocations, at=at)
            is_ours = lease.holder == holder_of(Installation.open(settings.state_folder).id, place)
            return lease if is_ours and lease.license_id == opened.license.license_id else None
    return None


def keep_lease(settings: Settings, text: str, place: int = 0) -> None:
    """Put a lease in its place, in whole or not at all. Raises OSError."""
    path = lease_path(settings, place)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with replacing(path) as file:
        file.write(text.encode())
