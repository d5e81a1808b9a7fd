"""How many processors there are for us."""

from __future__ import annotations

import os


def usable_processors() -> int:
    """As many as this process may run on: all of the machine's, where the system knows no affinity."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
