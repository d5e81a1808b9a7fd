"""Frame by frame: the license is asked once, and usage is recorded whatever happens."""

from __future__ import annotations

import narrows
import pytest
from narrows.errors import LicenseRefused
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_metering.record import Kind

from ..builders import a_picture


def recorded_frames(settings: Settings) -> list[int]:
    with open_meter(settings) as meter:
        return [record.payload["frames"] for record in meter.ledger.records() if record.kind is Kind.ENCODE]


def test_with_low_delay_every_frame_gives_its_packet(settings: Settings) -> None:
    with narrows.Encoder(width=64, height=48, low_delay=True, settings=settings) as encoder:
        packets = [encoder.encode(a_picture(shift=i)) for i in range(3)]
        assert encoder.flush() == []

    assert [[(p.pts, p.dts) for p in some] for some in packets] == [[(0, 0)], [(1, 1)], [(2, 2)]]


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
