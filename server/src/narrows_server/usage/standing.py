"""How an installation stands: what people should know about it first."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from narrows_server.usage.repository import InstallationOverview

SILENT_AFTER = timedelta(hours=24)


class Standing(StrEnum):
    """What people should know about an installation first."""

    REPLACED = "replaced"  # Another one continues it, after a conflict.
    INCOMPLETE = "incomplete"  # It must have records that we lack.
    SILENT = "silent"  # Nothing new from it for `SILENT_AFTER`.
    REPORTING = "reporting"


def standing(overview: InstallationOverview, at: datetime) -> Standing:
    """How an installation stands at the time *at*."""
    if overview.gap is not None:
        return Standing.INCOMPLETE
    if overview.continued_as is not None:
        return Standing.REPLACED
    return Standing.SILENT if at - overview.installation.reported_at >= SILENT_AFTER else Standing.REPORTING
