"""
Encoding and decoding beside an event loop: the same work in a thread of its own.

A cancelled task ends the work at the next frame, waits until the unfinished file is removed, and then is cancelled.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from narrows import files
from narrows.files import DecodeResult, EncodeResult, Progress

T = TypeVar("T")


class _Cancelled(Exception):
    """Ends the work from within; nobody outside sees it."""


async def aencode(source: Path | str, target: Path | str, **options: Any) -> EncodeResult:
    """
    `narrows.encode` without blocking the event loop; the same options, errors and result.

    *on_progress* is called in the working thread.
    """
    return await _in_thread(files.encode, source, target, **options)


async def adecode(source: Path | str, target: Path | str, **options: Any) -> DecodeResult:
    """`narrows.decode` without blocking the event loop; the same options, errors and result."""
    return await _in_thread(files.decode, source, target, **options)


async def _in_thread(
    work: Callable[..., T],
    source: Path | str,
    target: Path | str,
    *,
    on_progress: Progress | None = None,
    **options: Any,
) -> T:
    is_cancelled = threading.Event()

    def progress(done: int, total: int | None, payload: int) -> None:
        if is_cancelled.is_set():
            raise _Cancelled
        if on_progress:
            on_progress(done, total, payload)

    task = asyncio.ensure_future(asyncio.to_thread(work, source, target, on_progress=progress, **options))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        is_cancelled.set()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # It was looked at: what ended the work is our own doing.
        raise
