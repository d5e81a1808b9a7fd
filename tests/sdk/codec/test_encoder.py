"""What the decoder shows is what the encoder saw, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from narrows.codec.decoder import FrameDecoder
from narrows.codec.encoder import FrameEncoder
from narrows.codec.frame_coder import CodedFrame
from narrows.codec.weights import shipped_model
from narrows.errors import BitstreamError, CorruptBitstream
from narrows.media.picture import Picture
from narrows.media.quality import psnr
from narrows.options import EncodeOptions, Preset, Tune

from ..builders import a_picture


def coded(pictures: list[Picture], *, threads: int = 1, **options: int | bool | Preset) -> list[CodedFrame]:
    """In coding order."""
    encoder = FrameEncoder(
        pictures[0].width,
        pictures[0].height,
        model=shipped_model(),
        options=EncodeOptions(**options),  # type: ignore[arg-type]
        is_development=True,
        threads=threads,
    )
    return [frame for p in pictures for frame in encoder.encode(p)] + encoder.flush()


def shown(frames: list[CodedFrame]) -> list[CodedFrame]:
    return sorted(frames, key=lambda frame: frame.index)


def decoded(frames: list[CodedFrame]) -> list[Picture]:
    decoder = FrameDecoder()
    pictures = [picture for frame in frames for picture in decoder.decode(frame.data)]
    assert decoder.is_complete
    return pictures


def agree(frames: list[CodedFrame]) -> bool:
    """Whether the decoder shows, in display order, what the encoder said that it would."""
    return all(same(p, f.picture) for p, f in zip(decoded(frames), shown(frames), strict=True))


def a_pan(frames: int, width: int = 64, height: int = 48) -> list[Picture]:
    return [a_picture(width, height, shift=1.5 * i) for i in range(frames)]


def same(one: Picture, other: Picture) -> bool:
    return all(np.array_equal(a, b) for a, b in ((one.luma, other.luma), (one.cb, other.cb), (one.cr, other.cr)))


@settings(max_examples=12)
@given(
    width=st.integers(16, 90),
    height=st.integers(16, 90),
    crf=st.integers(0, 63),
    frames=st.integers(1, 12),
    keyint=st.integers(1, 12),
    low_delay=st.booleans(),
)
def test_every_size_quality_and_length_decodes_to_the_encoders_pictures(
    width: int, height: int, crf: int, frames: int, keyint: int, low_delay: bool
) -> None:
    pictures = [a_picture(width, height, shift=i) for i in range(frames)]

    assert agree(coded(pictures, crf=crf, keyint=keyint, low_delay=low_delay))


def test_the_number_of_threads_changes_no_byte() -> None:
    pictures = a_pan(14, 96, 80)  # Large enough for motion to be searched.

    assert [f.data for f in coded(pictures)] == [f.data for f in coded(pictures, threads=3)]


def test_the_slow_preset_decodes_to_the_encoders_pictures() -> None:
    assert agree(coded(a_pan(6), preset=Preset.SLOW))


def test_a_group_is_coded_from_its_ends_inwards() -> None:
    frames = coded(a_pan(9))

    assert [f.index for f in frames] == [0, 8, 4, 2, 1, 3, 6, 5, 7]
    assert [len(FrameDecoder().decode(frames[0].data)), *(f.is_key for f in frames[1:])] == [1] + 8 * [False]


def test_low_delay_codes_each_frame_as_it_comes() -> None:
    encoder = FrameEncoder(64, 48, model=shipped_model(), options=EncodeOptions(low_delay=True), is_development=True)

    assert [[f.index for f in encoder.encode(p)] for p in a_pan(4)] == [[0], [1], [2], [3]]
    assert encoder.flush() == []


def test_both_tunes_decode_and_differ() -> None:
    one, other = (coded(a_pan(3, 96, 64), tune=tune) for tune in Tune)  # type: ignore[arg-type]

    assert agree(one)
    assert agree(other)
    assert [f.data for f in one] != [f.data for f in other]


def test_noise_at_the_best_quality_survives() -> None:
    random = np.random.default_rng(5)
    noise = Picture(*(random.integers(0, 256, s, dtype=np.uint8) for s in ((48, 64), (24, 32), (24, 32))))

    assert agree(coded([noise, noise, noise], crf=0))


def test_the_first_frame_is_a_key_frame_and_keyint_makes_more() -> None:
    assert [f.is_key for f in shown(coded(a_pan(5), keyint=2))] == [True, False, True, False, True]


def test_a_scene_cut_makes_a_key_frame() -> None:
    dark, bright = (Picture(*(np.full(s, v, np.uint8) for s in ((48, 64), (24, 32), (24, 32)))) for v in (20, 220))

    frames = coded([dark, dark, dark, bright, bright])

    assert [f.is_key for f in shown(frames)] == [True, False, False, True, False]
    assert agree(frames)


def test_a_lower_crf_gives_better_pictures_for_more_bytes() -> None:
    pictures = a_pan(2, 128, 96)
    measured = []
    for crf in (10, 30, 50):
        frames = coded(pictures, crf=crf)
        quality = float(np.mean([psnr(f.source, f.picture) for f in frames]))
        measured.append((sum(len(f.data) for f in frames), quality))

    assert measured == sorted(measured, reverse=True)


def test_decoding_may_start_at_any_key_frame() -> None:
    frames = coded(a_pan(6), keyint=3)

    assert agree(frames[3:])


def test_decoding_can_not_start_elsewhere() -> None:
    frames = coded(a_pan(3))
    with pytest.raises(CorruptBitstream):
        FrameDecoder().decode(frames[1].data)


@pytest.mark.parametrize("missing", range(18))
def test_a_left_out_frame_is_noticed(missing: int) -> None:
    frames = coded(a_pan(19))

    with pytest.raises(BitstreamError):
        decoded(frames[:missing] + frames[missing + 1 :])


def test_a_frame_that_comes_twice_is_refused() -> None:
    frames = coded(a_pan(9))
    decoder = FrameDecoder()
    for frame in frames:
        decoder.decode(frame.data)
    for frame in frames[1:]:
        with pytest.raises(BitstreamError):
            decoder.decode(frame.data)


def test_the_decoder_keeps_no_more_references_than_a_group_has() -> None:
    decoder = FrameDecoder()
    for frame in coded(a_pan(33, 32, 32)):
        decoder.decode(frame.data)
        assert len(decoder._begun) <= 10


def test_a_picture_of_another_size_is_refused() -> None:
    encoder = FrameEncoder(64, 48, model=shipped_model(), options=EncodeOptions(), is_development=True)
    with pytest.raises(ValueError, match="80×48"):
        encoder.encode(a_picture(80, 48))
