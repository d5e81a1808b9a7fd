"""Groups: every frame once, after what it predicts from, and cut where the content says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows.codec.group import SPAN_MAX, depth_of, places
from narrows.codec.lookahead import SPAN, Group, Lookahead
from narrows.codec.rate_control import DEPTH_OFFSETS, ERROR_PRICES, quality_index
from narrows.media.picture import Picture

from ..builders import a_picture


@given(span=st.integers(1, SPAN_MAX))
def test_every_frame_of_a_group_comes_once_and_after_its_references(span: int) -> None:
    coded = {0}
    for place in places(span):
        assert {place.first, place.second} <= coded
        assert place.position not in coded
        coded.add(place.position)

    assert coded == set(range(span + 1))


@given(span=st.integers(1, SPAN_MAX))
def test_only_the_anchor_predicts_from_one_frame(span: int) -> None:
    anchor, *others = places(span)

    assert (anchor.first, anchor.second, anchor.position, anchor.depth) == (0, 0, span, 0)
    assert all(place.is_between and place.depth > 0 for place in others)


def test_a_group_of_eight_is_halved_three_times() -> None:
    assert [(p.position, p.first, p.second, p.depth) for p in places(8)] == [
        (8, 0, 0, 0),
        (4, 0, 8, 1),
        (2, 0, 4, 2),
        (1, 0, 2, 3),
        (3, 2, 4, 3),
        (6, 4, 8, 2),
        (5, 4, 6, 3),
        (7, 6, 8, 3),
    ]


@pytest.mark.parametrize("span", [0, SPAN_MAX + 1])
def test_a_group_beyond_the_limits_is_refused(span: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        places(span)


def test_deeper_frames_are_given_no_more_and_every_depth_has_its_values() -> None:
    deepest = depth_of(SPAN_MAX)
    qualities = [quality_index(30, depth) for depth in (None, *range(deepest + 1))]

    assert qualities == sorted(qualities, reverse=True)
    assert len(DEPTH_OFFSETS) == len(ERROR_PRICES) == deepest + 1


@given(depth=st.sampled_from([None, 0, 1, 2, 3, 4]))
def test_a_lower_crf_never_means_a_lower_quality(depth: int | None) -> None:
    qualities = [quality_index(crf, depth) for crf in range(64)]

    assert qualities == sorted(qualities, reverse=True)
    assert 0 <= min(qualities) <= max(qualities) <= 126


def groups_of(pictures: list[Picture], *, keyint: int = 128) -> list[Group]:
    lookahead = Lookahead(keyint=keyint, span=SPAN)
    return [group for picture in pictures for group in lookahead.push(picture)] + lookahead.flush()


@given(frames=st.integers(1, 40), keyint=st.integers(1, 40))
def test_no_frame_is_lost_and_key_frames_come_in_time(frames: int, keyint: int) -> None:
    pictures = [a_picture(16, 16, shift=i / 4) for i in range(frames)]

    groups = groups_of(pictures, keyint=keyint)

    assert [seen.picture for group in groups for seen in group.pictures] == pictures
    since_key = 0
    for group in groups:
        since_key = 1 if group.is_key else since_key + len(group.pictures)
        assert since_key <= keyint
        assert len(group.pictures) <= (1 if group.is_key else SPAN)
    assert groups[0].is_key


def test_a_scene_cut_ends_a_group_and_begins_with_a_key_frame() -> None:
    dark, bright = (Picture(*(np.full(s, v, np.uint8) for s in ((32, 32), (16, 16), (16, 16)))) for v in (20, 220))

    groups = groups_of([dark] * 4 + [bright] * 3)

    assert [(len(g.pictures), g.is_key) for g in groups] == [(1, True), (3, False), (1, True), (2, False)]
