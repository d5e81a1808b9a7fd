"""Beside an event loop: the same results, and a cancelled task leaves nothing."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import narrows
import pytest
from narrows.settings import Settings

from .builders import a_clip, a_picture


def test_the_loop_goes_on_while_a_file_is_coded(tmp_path: Path, settings: Settings) -> None:
    source, coded, decoded = a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", tmp_path / "decoded.y4m"

    async def work() -> tuple[int, int]:
        ticks = 0
        task = asyncio.create_task(narrows.aencode(source, coded, settings=settings))
        while not task.done():
            await asyncio.sleep(0.005)
            ticks += 1
        await narrows.adecode(coded, decoded)
        return ticks, (await task).frame_count

    ticks, frames = asyncio.run(work())

    assert ticks > 1
    assert frames == 5
    assert decoded.exists()


def test_errors_are_those_of_the_other_way(tmp_path: Path) -> None:
    with pytest.raises(narrows.VideoError):
        asyncio.run(narrows.aencode(tmp_path / "missing.mp4", tmp_path / "coded.mkv"))


def test_a_cancelled_encode_ends_and_leaves_no_file(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m", frames=60)
    begun = threading.Event()

    async def work() -> None:
        task = asyncio.create_task(
            narrows.aencode(
                source, tmp_path / "coded.mkv", settings=settings, on_progress=lambda *_: begun.set(), low_delay=True
            )
        )
        while not begun.is_set():
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not list(tmp_path.glob("*coded*"))  # Already now, not some time later.

    asyncio.run(work())


def test_a_second_thread_is_refused_clearly(settings: Settings) -> None:
    with narrows.Encoder(width=64, height=48, settings=settings) as encoder:
        refused: list[BaseException] = []

        def other() -> None:
            try:
                encoder.encode(a_picture())
            except RuntimeError as error:
                refused.append(error)

        with encoder._turn.taken():
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

    assert "one of its own" in str(refused[0])
