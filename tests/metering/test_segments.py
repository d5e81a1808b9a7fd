"""Segments of long assets: drawn by the seed, extrapolated in integers, and noisier the more they differ."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.segments import Part, draw_segments, extrapolate, ratio_noise_ppm


def parts(*pairs: tuple[int, int]) -> list[Part]:
    return [Part(index=n, bytes_ours=ours, bytes_baseline=baseline) for n, (ours, baseline) in enumerate(pairs)]


@given(st.binary(min_size=1, max_size=8), st.integers(1, 400), st.integers(1, 60))
def test_as_many_segments_are_drawn_as_are_wanted_and_exist(seed: bytes, count: int, wanted: int) -> None:
    drawn = draw_segments(seed, "film", count=count, wanted=wanted)
    assert len(drawn) == min(count, wanted)
    assert list(drawn) == sorted(set(drawn))
    assert set(drawn) <= set(range(count))


def test_every_segment_is_as_likely_as_any_other() -> None:
    drawn = Counter[int]()
    for n in range(2_000):
        drawn.update(draw_segments(str(n).encode(), "film", count=20, wanted=5))
    assert all(400 < drawn[index] < 600 for index in range(20))


def test_another_seed_or_rendition_gives_other_segments() -> None:
    one = draw_segments(b"one", "film", count=1_000, wanted=20)
    assert one == draw_segments(b"one", "film", count=1_000, wanted=20)
    assert len({one, draw_segments(b"two", "film", count=1_000, wanted=20)}) == 2
    assert one != draw_segments(b"one", "talk", count=1_000, wanted=20)


def test_the_whole_is_extrapolated_by_the_ratio_and_rounded_down() -> None:
    assert extrapolate(300, 400, whole_ours=1_000) == 1_333


def test_segments_that_agree_are_exact_and_those_that_do_not_are_noisy() -> None:
    assert ratio_noise_ppm(parts((100, 200), (50, 100), (70, 140)), count=90) == 1
    # Ratios of 1 and 3, mean 2: a standard error of half of it, less the tenth of the asset that was measured.
    assert abs(ratio_noise_ppm(parts((100, 100), (100, 300)), count=20) - round(1e6 * 0.5 * 0.9**0.5)) <= 1


def test_nothing_is_uncertain_once_every_segment_was_measured() -> None:
    assert ratio_noise_ppm(parts((100, 100), (100, 300)), count=2) == 0


def test_one_segment_says_nothing_of_the_others() -> None:
    assert ratio_noise_ppm(parts((100, 100)), count=2) == 1_000_000
