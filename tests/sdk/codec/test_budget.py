"""Bit rates are met and buffers never overflow, on made-up streams by the thousand and on a few real ones."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import narrows
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from narrows import files
from narrows.codec.budget import Budget, LeakyBucket, PlannedGroup
from narrows.errors import VideoError
from narrows.media.coded_file import CodedFile
from narrows.media.picture import Picture
from narrows.options import EncodeOptions, parse_bits
from narrows.settings import Settings

from ..builders import a_clip_of, a_picture

RATE = 25
PIXELS = 352 * 288
Difficulty = Callable[[int], float]


def steady(_: int) -> float:
    return 1.0


def harder_later(frame: int) -> float:
    return 1.0 if frame < 100 else 3.0


def easier_later(frame: int) -> float:
    return 3.0 if frame < 100 else 1.0


def waves(frame: int) -> float:
    return 1.5 + math.sin(frame / 20)


DIFFICULTIES = [steady, harder_later, easier_later, waves]


class MadeUpEncoder:
    """Sizes that follow another law than the budget's model, with noise, in groups of 8 and key frames."""

    def __init__(self, difficulty: Difficulty, *, seed: int, keyint: int, slope: float = 0.0235) -> None:
        self._difficulty, self._dice, self._keyint, self._slope = difficulty, random.Random(seed), keyint, slope

    def run(self, budget: Budget, frame_count: int) -> list[int]:
        """The sizes in bytes of all packets, in coding order."""
        sizes: list[int] = []
        while len(sizes) < frame_count:
            is_key = len(sizes) % self._keyint == 0
            to_key = self._keyint - len(sizes) % self._keyint
            count = 1 if is_key else min(8, to_key, frame_count - len(sizes))
            while True:
                base = budget.base(count, is_key=is_key)
                made = [self._size(len(sizes) + i, i, base, is_key=is_key) for i in range(count)]
                if budget.accepts(made, base=base, is_key=is_key):
                    break
            sizes += made
        return sizes

    def _size(self, frame: int, place: int, base: int, *, is_key: bool) -> int:
        share = 9.0 if is_key else (3.0, 1.5, 0.8, 0.8, 0.5, 0.5, 0.5, 0.5)[place]
        bits = 0.04 * PIXELS * share * self._difficulty(frame) * math.exp(self._slope * (base - 62))
        return max(12, round(bits / 8 * self._dice.uniform(0.85, 1.15)))


def a_budget(**options: int) -> Budget:
    return Budget(EncodeOptions(**options), frame_rate=Fraction(RATE), pixels=PIXELS)  # type: ignore[arg-type]


def kbps(sizes: list[int]) -> float:
    return 8 * sum(sizes) * RATE / len(sizes) / 1000


def overflows(sizes: list[int], *, maxrate: int, bufsize: int) -> bool:
    """By the definition, without the class that is tested: no stretch of packets has more than the buffer allows."""
    level = Fraction(0)
    for size in sizes:
        level += 8 * size
        if level > bufsize:
            return True
        level = max(Fraction(0), level - Fraction(maxrate, RATE))
    return False


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("bitrate", [120_000, 200_000, 300_000])
@pytest.mark.parametrize("keyint", [50, 128])
def test_one_pass_is_within_five_per_cent_over_ten_seconds(difficulty: Difficulty, bitrate: int, keyint: int) -> None:
    for seed in range(5):
        sizes = MadeUpEncoder(difficulty, seed=seed, keyint=keyint).run(a_budget(bitrate=bitrate, keyint=keyint), 250)

        assert kbps(sizes) == pytest.approx(bitrate / 1000, rel=0.05)


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("bitrate", [120_000, 200_000, 300_000])
@pytest.mark.parametrize("frame_count", [100, 250])
def test_two_passes_are_within_three_per_cent(difficulty: Difficulty, bitrate: int, frame_count: int) -> None:
    for seed in range(5):
        first = a_budget()
        MadeUpEncoder(difficulty, seed=seed, keyint=128).run(first, frame_count)
        second = a_budget(bitrate=bitrate)
        second.follow(first.groups)
        sizes = MadeUpEncoder(difficulty, seed=seed + 100, keyint=128, slope=0.02).run(second, frame_count)

        assert kbps(sizes) == pytest.approx(bitrate / 1000, rel=0.03)


@given(
    seed=st.integers(0, 1000),
    difficulty=st.sampled_from(DIFFICULTIES),
    maxrate=st.integers(60_000, 800_000),
    seconds=st.floats(0.5, 3),
    crf=st.integers(0, 63),
)
@settings(max_examples=60)
def test_the_buffer_never_overflows(seed: int, difficulty: Difficulty, maxrate: int, seconds: float, crf: int) -> None:
    bufsize = round(maxrate * seconds)
    budget = a_budget(crf=crf, maxrate=maxrate, bufsize=bufsize, keyint=60)
    sizes: list[int] = []
    with suppress(VideoError):  # Where even the lowest quality is too much, it says so instead.
        sizes = MadeUpEncoder(difficulty, seed=seed, keyint=60).run(budget, 200)

    assert not overflows(sizes, maxrate=maxrate, bufsize=bufsize)


def test_a_buffer_too_small_for_any_frame_is_refused_with_what_to_do() -> None:
    with pytest.raises(VideoError, match="larger bufsize"):
        MadeUpEncoder(steady, seed=0, keyint=50).run(a_budget(maxrate=1000, bufsize=1000), 10)


def test_a_stream_below_maxrate_is_not_touched() -> None:
    plain, capped = (
        MadeUpEncoder(steady, seed=1, keyint=50).run(budget, 100)
        for budget in (a_budget(crf=40), a_budget(crf=40, maxrate=50_000_000))
    )

    assert plain == capped


def test_the_bucket_drains_while_a_frame_is_shown() -> None:
    bucket = LeakyBucket(bufsize=1000, maxrate=RATE * 80, frame_rate=Fraction(RATE))

    assert bucket.after([100]) == 720
    assert bucket.after([100, 35]) == 920
    assert bucket.after([100, 36]) is None
    assert bucket.level == 0


@pytest.mark.parametrize(
    ("text", "bits"), [("800k", 800_000), ("1.5M", 1_500_000), ("64000", 64_000), ("2G", 2 * 10**9)]
)
def test_bits_are_read_as_people_write_them(text: str, bits: int) -> None:
    assert parse_bits(text) == bits


def test_nonsense_is_refused() -> None:
    with pytest.raises(VideoError, match="800k"):
        parse_bits("fast")
    with pytest.raises(VideoError, match="below bitrate"):
        EncodeOptions(bitrate=1000, maxrate=500)
    with pytest.raises(VideoError, match="give both"):
        EncodeOptions(bufsize=500)


def a_changing_scene(frames: int) -> list[Picture]:
    """Calm, then fast."""
    return [a_picture(shift=0.5 * i if i < frames // 2 else 4.0 * i, seed=i // (frames // 2)) for i in range(frames)]


def packet_sizes(path: Path) -> list[int]:
    return [len(packet.data) for packet in CodedFile.open(path).packets()]


@pytest.mark.slow
@pytest.mark.parametrize(("passes", "tolerance"), [(1, 0.05), (2, 0.03)])
def test_real_files_meet_their_bitrate(tmp_path: Path, settings: Settings, passes: int, tolerance: float) -> None:
    clip = a_clip_of(a_changing_scene(100), tmp_path / "clip.y4m", rate=10)
    result = narrows.encode(
        clip, tmp_path / "coded.mkv", bitrate=9_000, passes=passes, keyint=25, preset="fast", settings=settings
    )

    assert result.bits_per_second == pytest.approx(9_000, rel=tolerance)


def test_a_real_file_keeps_to_its_buffer_by_coding_groups_again(tmp_path: Path, settings: Settings) -> None:
    clip = a_clip_of(a_changing_scene(26), tmp_path / "clip.y4m", rate=RATE)
    free = files.encode(clip, tmp_path / "free.mkv", crf=4, keyint=13, settings=settings)
    maxrate = free.bits_per_second // 3
    files.encode(clip, tmp_path / "kept.mkv", crf=4, keyint=13, maxrate=maxrate, settings=settings)
    files.decode(tmp_path / "kept.mkv", tmp_path / "kept.y4m")

    assert overflows(packet_sizes(free.target), maxrate=maxrate, bufsize=maxrate)
    assert not overflows(packet_sizes(tmp_path / "kept.mkv"), maxrate=maxrate, bufsize=maxrate)


def test_the_groups_of_the_first_pass_are_those_of_the_second() -> None:
    budget = a_budget()
    MadeUpEncoder(steady, seed=1, keyint=10).run(budget, 20)

    assert [group.frame_count for group in budget.groups] == [1, 8, 1, 1, 8, 1]
    assert all(isinstance(group, PlannedGroup) and group.base == 62 for group in budget.groups)
