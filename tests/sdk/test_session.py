"""Frame by frame: the license is asked once, and usage is recorded whatever happens."""

from __future__ import annotations

from pathlib import Path

import av
import narrows
import numpy as np
import pytest
from narrows.errors import LicenseRefused
from narrows.media.frames import to_frame, to_picture
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_metering.record import Kind

from .builders import a_picture


def recorded_frames(settings: Settings) -> list[int]:
    with open_meter(settings) as meter:
        return [record.payload["frames"] for record in meter.ledger.records() if record.kind is Kind.ENCODE]


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


def test_with_low_delay_every_frame_gives_its_packet(settings: Settings) -> None:
    with narrows.Encoder(width=64, height=48, low_delay=True, settings=settings) as encoder:
        packets = [encoder.encode(a_picture(shift=i)) for i in range(3)]
        assert encoder.flush() == []

    assert [[(p.pts, p.dts) for p in some] for some in packets] == [[(0, 0)], [(1, 1)], [(2, 2)]]


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


def test_closing_records_the_usage_once(settings: Settings) -> None:
    with narrows.Encoder(width=64, height=48, settings=settings) as encoder:
        encoder.encode(a_picture())
        encoder.close()
        encoder.close()

    assert recorded_frames(settings) == [1]


def test_an_encoder_that_coded_nothing_records_nothing(settings: Settings) -> None:
    with narrows.Encoder(width=64, height=48, settings=settings):
        pass

    assert recorded_frames(settings) == []


def test_what_was_coded_before_an_error_is_recorded(settings: Settings) -> None:
    with narrows.Encoder(width=64, height=48, settings=settings) as encoder:
        encoder.encode(a_picture())
        with pytest.raises(narrows.VideoError, match="80×48"):
            encoder.encode(a_picture(80, 48))

    assert recorded_frames(settings) == [1]


def test_a_license_that_disappears_does_not_stop_a_running_encode(settings: Settings) -> None:
    with narrows.Encoder(width=64, height=48, settings=settings) as encoder:
        encoder.encode(a_picture())
        settings.license_path.unlink()
        encoder.encode(a_picture(shift=1))
        assert encoder.flush()

    with pytest.raises(LicenseRefused):
        narrows.Encoder(width=64, height=48, settings=settings)


def test_a_wrong_option_is_refused_before_anything_is_opened(settings: Settings) -> None:
    with pytest.raises(narrows.VideoError, match="crf 64"):
        narrows.Encoder(width=64, height=48, crf=64, settings=settings)
    with pytest.raises(narrows.VideoError, match="8×8"):
        narrows.Encoder(width=8, height=8, settings=settings)
    assert not settings.state_folder.exists()


def test_the_state_of_the_license_does_not_change_the_bits(settings: Settings, tmp_path: Path) -> None:
    def packets() -> list[bytes]:
        with narrows.Encoder(width=64, height=48, settings=settings) as encoder:
            packets = [p for i in range(2) for p in encoder.encode(a_picture(shift=i))] + encoder.flush()
            return [p.data for p in packets]

    assert packets() == packets()


def test_pictures_become_frames_and_back(settings: Settings) -> None:
    picture = a_picture(71, 49)

    back = to_picture(to_frame(picture))

    assert np.array_equal(back.luma, picture.luma)
    assert np.array_equal(back.cr, picture.cr)


def test_a_second_pass_follows_the_plan_of_the_first(settings: Settings) -> None:
    pictures = [a_picture(shift=i) for i in range(9)]

    def coded(plan: list[narrows.PlannedGroup] | None, **options: int) -> tuple[int, list[narrows.PlannedGroup]]:
        with narrows.Encoder(width=64, height=48, settings=settings, **options) as encoder:  # type: ignore[arg-type]
            if plan is not None:
                encoder.follow(plan)
            packets = [p for picture in pictures for p in encoder.encode(picture)] + encoder.flush()
            return sum(len(p.data) for p in packets), encoder.plan

    first, plan = coded(None, crf=32)
    second, _ = coded(plan, bitrate=8 * first * 25 // 9)

    assert sum(group.frame_count for group in plan) == 9
    assert abs(second - first) < 0.3 * first
