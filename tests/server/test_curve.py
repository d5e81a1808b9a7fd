"""The drawing beside a rendition's evidence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from narrows_server.console.curve import HEIGHT, WIDTH, curve_of

counts = st.integers(1, 2**53)
scores = st.integers(-(10**9), 10**9)


def test_fewer_bytes_are_further_left_and_a_better_score_is_higher() -> None:
    curve = curve_of([(1000, 10), (4000, 30), (2000, 20)], ours_bytes=1500, baseline_bytes=2000, score=20)

    assert [x for x, _ in curve.ladder] == sorted(x for x, _ in curve.ladder)
    assert [y for _, y in curve.ladder] == sorted((y for _, y in curve.ladder), reverse=True)
    assert curve.baseline == curve.ladder[1]
    assert curve.ours[0] < curve.baseline[0]
    assert curve.ours[1] == curve.baseline[1]


@given(st.lists(st.tuples(counts, scores), min_size=2, max_size=9), counts, counts, scores)
def test_everything_is_on_the_sheet(points: list[tuple[int, int]], ours: int, theirs: int, score: int) -> None:
    curve = curve_of(points, ours_bytes=ours, baseline_bytes=theirs, score=score)

    for x, y in (*curve.ladder, curve.ours, curve.baseline):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
