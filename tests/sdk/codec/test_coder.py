"""What the decoder shows is what the encoder saw, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from narrows.codec.coder import CodedFrame, FrameDecoder, FrameEncoder
from narrows.codec.weights import shipped_model
from narrows.errors import BitstreamError, CorruptBitstream
from narrows.options import EncodeOptions
from narrows.picture import Picture
from narrows.quality import psnr

from ..builders import a_picture


def coded(pictures: list[Picture], **options: int) -> list[CodedFrame]:
    encoder = FrameEncoder(
        pictures[0].width,
        pictures[0].height,
        model=shipped_model(),
        options=EncodeOptions(**options),  # type: ignore[arg-type]
        is_development=True,
    )
    return [encoder.encode(p) for p in pictures]


def a_pan(frames: int, width: int = 64, height: int = 48) -> list[Picture]:
    return [a_picture(width, height, shift=1.5 * i) for i in range(frames)]


def same(one: Picture, other: Picture) -> bool:
    return all(np.array_equal(a, b) for a, b in ((one.luma, other.luma), (one.cb, other.cb), (one.cr, other.cr)))


@settings(max_examples=12)
@given(width=st.integers(16, 90), height=st.integers(16, 90), crf=st.integers(0, 63), seed=st.integers(0, 99))
def test_every_size_and_quality_decodes_to_the_encoders_pictures(width: int, height: int, crf: int, seed: int) -> None:
    pictures = [a_picture(width, height, shift=i, seed=seed) for i in range(3)]
    decoder = FrameDecoder()

    for frame in coded(pictures, crf=crf):
        assert same(decoder.decode(frame.data), frame.picture)


def test_noise_at_the_best_quality_survives() -> None:
    random = np.random.default_rng(5)
    noise = Picture(*(random.integers(0, 256, s, dtype=np.uint8) for s in ((48, 64), (24, 32), (24, 32))))
    decoder = FrameDecoder()

    for frame in coded([noise, noise], crf=0):
        assert same(decoder.decode(frame.data), frame.picture)


def test_the_first_frame_is_a_key_frame_and_keyint_makes_more() -> None:
    assert [f.is_key for f in coded(a_pan(5), keyint=2)] == [True, False, True, False, True]


def test_a_scene_cut_makes_a_key_frame() -> None:
    dark, bright = (Picture(*(np.full(s, v, np.uint8) for s in ((48, 64), (24, 32), (24, 32)))) for v in (20, 220))

    assert [f.is_key for f in coded([dark, dark, bright, bright])] == [True, False, True, False]


def test_a_lower_crf_gives_better_pictures_for_more_bytes() -> None:
    pictures = a_pan(2, 128, 96)
    measured = []
    for crf in (10, 30, 50):
        frames = coded(pictures, crf=crf)
        quality = float(np.mean([psnr(p, f.picture) for p, f in zip(pictures, frames, strict=True)]))
        measured.append((sum(len(f.data) for f in frames), quality))

    assert measured == sorted(measured, reverse=True)


def test_decoding_may_start_at_any_key_frame() -> None:
    frames = coded(a_pan(6), keyint=3)

    assert same(FrameDecoder().decode(frames[3].data), frames[3].picture)


def test_decoding_can_not_start_elsewhere() -> None:
    frames = coded(a_pan(3))
    with pytest.raises(CorruptBitstream):
        FrameDecoder().decode(frames[1].data)


def test_a_left_out_frame_is_noticed() -> None:
    frames = coded(a_pan(3))
    decoder = FrameDecoder()
    decoder.decode(frames[0].data)
    with pytest.raises(BitstreamError):
        decoder.decode(frames[2].data)


def test_a_picture_of_another_size_is_refused() -> None:
    encoder = FrameEncoder(64, 48, model=shipped_model(), options=EncodeOptions(), is_development=True)
    with pytest.raises(ValueError, match="80×48"):
        encoder.encode(a_picture(80, 48))
