"""Frame by frame: what went in comes out, and what is missing is noticed or concealed."""

from __future__ import annotations

import av
import narrows
import pytest
from narrows.media.frames import to_frame
from narrows.settings import Settings

from ..builders import a_picture


def test_frames_go_in_and_come_out(settings: Settings) -> None:
    pictures = [a_picture(shift=i) for i in range(3)]
    decoder = narrows.Decoder()
    with narrows.Encoder(width=64, height=48, crf=10, settings=settings) as encoder:
        packets = [p for picture in pictures for p in encoder.encode(to_frame(picture))] + encoder.flush()

    frames = [frame for packet in packets for frame in decoder.decode(packet)]
    decoder.finish()

    assert [p.pts for p in packets] == [0, 2, 1]
    assert [p.dts for p in packets] == [-3, -2, -1]
    assert [p.is_keyframe for p in packets] == [True, False, False]
    assert len(frames) == 3
    assert all(isinstance(f, av.VideoFrame) and (f.width, f.height) == (64, 48) for f in frames)
    assert decoder.header.is_development


def test_a_stream_that_ends_within_a_group_is_noticed(settings: Settings) -> None:
    with narrows.Encoder(width=64, height=48, settings=settings) as encoder:
        packets = [p for i in range(9) for p in encoder.encode(a_picture(shift=i))]
    decoder = narrows.Decoder()
    for packet in packets[:-1]:
        decoder.decode(packet)

    with pytest.raises(narrows.CorruptBitstream, match="ends before"):
        decoder.finish()


def test_after_a_lost_packet_the_next_key_frame_is_clean(settings: Settings) -> None:
    with narrows.Encoder(width=64, height=48, keyint=9, settings=settings) as encoder:
        packets = [p for i in range(18) for p in encoder.encode(a_picture(shift=i))] + encoder.flush()
    strict, tolerant = narrows.Decoder(), narrows.Decoder(conceal=True)
    whole = [picture for packet in packets for picture in strict.decode_pictures(packet)]

    lost = packets[:3] + packets[4:]
    shown = [picture for packet in lost for picture in tolerant.decode_pictures(packet)] + tolerant.finish()

    assert len(shown) == 17
    assert tolerant.concealed_count > 0
    assert [p.to_bytes() for p in shown[-9:]] == [p.to_bytes() for p in whole[-9:]]
