"""
What a vendor ever signed in our name: checks a license log, and that the license that is used here is in it.

The size and root of the last log are remembered in the state folder, so that nothing disappears from the next one.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from narrows_licensing.trust import Role
from narrows_licensing.verdict import Refused
from narrows_metering.errors import ProofRefused
from narrows_metering.license_log import LicenseLog, LogHead, read_log

from narrows.atomic_file import replacing
from narrows.errors import LogRefused
from narrows.license.gate import read_license, refusal
from narrows.settings import Settings


def check_license_log(settings: Settings, text: str, *, at: datetime) -> LicenseLog:
    """Check the log with the keys of the license that is here, and remember its head. Raises LogRefused."""
    read = read_license(settings, at)
    if isinstance(read, Refused):
        raise refusal(read, settings.license_path)
    token, opened = read
    if opened.bundle is None:
        raise LogRefused("a development license has no vendor and no log")
    path = settings.state_folder / f"license-log-{opened.license.customer_id}.json"
    try:
        log = read_log(
            text,
            opened.bundle.keys_for(Role.RECEIPT, at),
            customer_id=opened.license.customer_id,
            earlier=_remembered(path),
        )
    except ProofRefused as refused:
        raise LogRefused(f"the license log is not to be believed: {refused}") from refused
    if log.find_token(token) is None:
        raise LogRefused(f"license {opened.license.license_id}, which is used here, is not in the log")
    _remember(path, log.head)
    return log


def _remembered(path: Path) -> LogHead | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_text())
        return LogHead(
            customer_id=str(kept["customer_id"]),
            tree_size=int(kept["tree_size"]),
            root_hash=str(kept["root_hash"]),
            time=datetime.fromisoformat(kept["time"]),
        )
    return None


def _remember(path: Path, head: LogHead) -> None:
    kept = {
        "customer_id": head.customer_id,
        "tree_size": head.tree_size,
        "root_hash": head.root_hash,
        "time": head.time.isoformat(),
    }
    with suppress(OSError), replacing(path) as file:
        file.write(json.dumps(kept).encode())
