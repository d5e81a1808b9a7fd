"""
The lease that this machine holds of a floating license: a file in the state folder.

It is fetched and renewed by `narrows license lease`, never on the way of an encode. A lease that ends while an encode
runs changes nothing for that encode.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from narrows_licensing.document import OpenedFile
from narrows_licensing.errors import LicensingError
from narrows_licensing.lease import LEASE_BYTES_MAX, Lease, read_lease

from narrows.installation import Installation
from narrows.settings import Settings


def lease_path(settings: Settings) -> Path:
    """Where the lease is kept."""
    return settings.state_folder / "lease.json"


def held_lease(settings: Settings, opened: OpenedFile, *, at: datetime) -> Lease | None:
    """The lease of the opened license that this installation holds, ended or not; None if there is none to believe."""
    if opened.bundle is None:
        return None
    with suppress(OSError, LicensingError):
        path = lease_path(settings)
        if path.stat().st_size <= LEASE_BYTES_MAX:
            lease = read_lease(path.read_text(errors="replace"), opened.bundle, opened.revocations, at=at)
            is_ours = lease.holder == Installation.open(settings.state_folder).id
            return lease if is_ours and lease.license_id == opened.license.license_id else None
    return None


def keep_lease(settings: Settings, text: str) -> None:
    """Put a lease in its place, in whole or not at all. Raises OSError."""
    path = lease_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def drop_lease(settings: Settings) -> None:
    """Forget the lease. Whoever handed it out is told by others. Raises OSError."""
    lease_path(settings).unlink(missing_ok=True)
