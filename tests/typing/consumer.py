"""
A customer's program, as mypy and pyright in their strict modes see it. It is checked and never run.

What is asserted here is promised: changing it breaks customers' builds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import assert_type

import av
import narrows
import numpy as np
from narrows.testing import a_picture, settings_for_tests, write_clip
from numpy.typing import NDArray


def whole_files(source: Path) -> None:
    result = narrows.encode(source, "talk.mp4", crf=30, preset="slow", tune=narrows.Tune.FIDELITY, fragmented=True)
    assert_type(result, narrows.EncodeResult)
    assert_type(result.target, Path)
    assert_type(result.psnr, float)
    assert_type(result.frame_rate, Fraction)
    assert_type(result.notices, tuple[str, ...])
    assert_type(narrows.decode("talk.mp4", "talk.y4m", start=1.5).frame_count, int)
    info = narrows.probe("talk.mp4")
    assert_type(info.container, narrows.Container)
    assert_type(info.colour, narrows.Colour)


def frame_by_frame(frames: Iterable[av.VideoFrame | NDArray[np.uint8]]) -> Iterator[bytes]:
    with narrows.Encoder(width=1280, height=720, rate=Fraction(30_000, 1001), bitrate=800_000) as encoder:
        for frame in frames:
            for packet in encoder.encode(frame):
                yield packet.data
        for packet in encoder.flush():
            assert_type(packet, narrows.Packet)
            yield packet.data
        assert_type(encoder.plan, list[narrows.PlannedGroup])
        assert_type(encoder.close(), narrows.EncodeSummary | None)


def decoded(packets: Iterable[narrows.Packet]) -> Iterator[NDArray[np.uint8]]:
    decoder = narrows.Decoder(conceal=True, engine="torch", device=narrows.Device.CPU)
    for packet in packets:
        for frame in decoder.decode(packet):
            assert_type(frame, av.VideoFrame)
        for picture in decoder.decode_pictures(packet.data):
            assert_type(picture, narrows.Picture)
            yield picture.luma
    assert_type(decoder.concealed_count, int)


async def beside_an_event_loop() -> None:
    assert_type(await narrows.aencode("a.mov", "a.mkv", crf=30), narrows.EncodeResult)
    assert_type(await narrows.adecode("a.mkv", "a.y4m"), narrows.DecodeResult)


def a_library(files: Iterable[Path]) -> list[str]:
    with narrows.Cluster("tcp://scheduler:8786") as cluster:
        done = narrows.encode_all(files, "coded", at_once=4, cluster=cluster)
        return [str(one.error) for one in done if one.error is not None]


def packaged() -> int:
    package = narrows.package_hls(["high.mp4", "low.mp4"], "talk", segment_seconds=6)
    assert_type(package, narrows.PackageResult)
    return package.segment_count


def usage(folder: Path) -> str:
    status = narrows.usage_status(narrows.Settings.read({"NARROWS_STATE": str(folder)}))
    assert_type(status.last_receipt, datetime | None)
    assert_type(status.earlier, tuple[narrows.EarlierUsage, ...])
    return status.last_error or "reporting works"


def refusals() -> str:
    try:
        narrows.encode("a.mov", "a.mkv")
    except narrows.LicenseRefused as refused:
        return refused.next_step
    except narrows.CorruptBitstream as corrupt:
        return f"{corrupt.byte_offset}: {corrupt}"
    except narrows.NarrowsError as error:
        return str(error)
    return ""


def own_tests(folder: Path) -> None:
    settings = settings_for_tests(folder)
    clip = write_clip(folder / "clip.y4m", frames=3)
    assert_type(narrows.encode(clip, folder / "clip.mkv", settings=settings).is_development, bool)
    assert_type(a_picture(64, 48).width, int)
