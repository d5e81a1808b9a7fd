"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int | None, int], None]
"""
Called after each frame with frames done, frames in all if known, and payload bytes so far. What it raises ends the
work: the unfinished file is removed, and the exception reaches the caller.
"""
