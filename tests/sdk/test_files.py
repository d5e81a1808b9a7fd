"""Whole files in, whole files out: nothing lost, nothing half-written, damage always named."""

from __future__ import annotations

import random
import shutil
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from narrows import files
from narrows.errors import (
    BitstreamError,
    CorruptBitstream,
    CutOff,
    LedgerDamaged,
    LicenseRefused,
    LicenseUnreadable,
    NotABitstream,
    VideoError,
)
from narrows.media.coded_file import CodedFile
from narrows.media.frames import to_frame
from narrows.media.packets import Container, PacketTarget
from narrows.media.video import Source
from narrows.settings import Settings
from narrows.usage.machine import open_meter
from narrows_licensing.verdict import Reason

from .builders import a_clip, a_clip_with_audio, a_picture, settings_in

FLIPS = 80
CODED_NAMES = ("coded.mkv", "coded.mp4")


@pytest.fixture
def coded(tmp_path: Path, settings: Settings) -> Path:
    source = a_clip_with_audio(tmp_path / "source.mkv")
    return files.encode(source, tmp_path / "coded.mkv", settings=settings).target


def test_the_decoded_file_has_the_frames_of_the_source(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m", width=71, height=49, frames=4)

    encoded = files.encode(source, tmp_path / "coded.mkv", crf=4, settings=settings)
    decoded = files.decode(encoded.target, tmp_path / "decoded.y4m")

    assert (decoded.width, decoded.height, decoded.frame_count) == (71, 49, 4)
    with Source(source) as before, Source(decoded.target) as after:
        pairs = list(zip(before.pictures(), after.pictures(), strict=True))
    assert len(pairs) == 4
    assert all(np.abs(a.picture.luma.astype(int) - b.picture.luma).mean() < 12 for a, b in pairs)


def test_the_bytes_reported_are_the_payload_of_the_file(tmp_path: Path, settings: Settings) -> None:
    result = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)

    with av.open(str(result.target)) as container:
        payload = sum(p.size for p in container.demux(container.streams.video[0]))
    assert result.payload_bytes == payload == files.probe(result.target).payload_bytes
    assert result.file_bytes == result.target.stat().st_size


def test_audio_is_carried_along_byte_for_byte(tmp_path: Path, coded: Path) -> None:
    def sound(path: Path) -> bytes:
        with av.open(str(path)) as container:
            return b"".join(bytes(p) for p in container.demux(container.streams.audio[0]))

    assert sound(coded) == sound(tmp_path / "source.mkv") != b""


def test_two_encodes_of_a_clip_are_the_same_bytes(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m")
    one, two = (files.encode(source, tmp_path / f"{n}.mkv", settings=settings) for n in "ab")

    assert files.coded_digest(one.target) == files.coded_digest(two.target)
    assert one.rendition == two.rendition


def test_the_encode_is_in_the_ledger(tmp_path: Path, settings: Settings) -> None:
    result = files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)

    with open_meter(settings) as meter:
        _enrolled, record = meter.ledger.records()
    assert record.payload["bytes"] == result.payload_bytes
    assert record.payload["rendition"] == result.rendition
    assert record.payload["development"] is True


def test_a_development_stream_is_marked_in_every_key_frame(tmp_path: Path, coded: Path) -> None:
    assert files.probe(coded).is_development


@pytest.mark.parametrize(("name", "fragmented"), [("coded.mkv", False), ("coded.mp4", False), ("coded.mp4", True)])
def test_every_kind_of_flipped_byte_is_refused_before_anything_is_written(
    tmp_path: Path, settings: Settings, name: str, fragmented: bool
) -> None:
    source = a_clip_with_audio(tmp_path / "source.mkv", frames=3)
    coded = files.encode(source, tmp_path / name, fragmented=fragmented, settings=settings).target
    data = coded.read_bytes()
    dice = random.Random(1)
    positions = sorted({*range(64), *dice.sample(range(len(data)), FLIPS), len(data) - 1})
    for position in positions:
        changed = bytearray(data)
        changed[position] ^= 1 << dice.randrange(8)
        damaged = tmp_path / f"damaged{coded.suffix}"
        damaged.write_bytes(changed)
        with pytest.raises(BitstreamError):
            files.decode(damaged, tmp_path / "damaged.y4m")
        assert not (tmp_path / "damaged.y4m").exists(), position


def test_a_truncated_file_is_refused(tmp_path: Path, coded: Path) -> None:
    data = coded.read_bytes()
    for part in (0.1, 0.5, 0.9, 0.999):
        damaged = tmp_path / "damaged.mkv"
        damaged.write_bytes(data[: int(part * len(data))])
        with pytest.raises(BitstreamError):
            files.decode(damaged, tmp_path / "damaged.y4m")


@pytest.mark.parametrize(("name", "fragmented"), [("coded.mkv", False), ("coded.mp4", False), ("coded.mp4", True)])
def test_every_container_holds_the_same_packets(
    tmp_path: Path, settings: Settings, coded: Path, name: str, fragmented: bool
) -> None:
    other = tmp_path / "other" / name
    other.parent.mkdir()
    files.encode(tmp_path / "source.mkv", other, fragmented=fragmented, settings=settings)

    assert files.coded_digest(other) == files.coded_digest(coded)
    assert files.probe(other).frame_count == 10
    assert [p.time for p in CodedFile.open(other).packets()] == [p.time for p in CodedFile.open(coded).packets()]


def luma(path: Path) -> list[bytes]:
    with Source(path) as video:
        return [timed.picture.luma.tobytes() for timed in video.pictures()]


def test_a_part_is_the_same_frames_as_in_the_whole(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m", frames=14)
    coded = files.encode(source, tmp_path / "coded.mp4", keyint=6, settings=settings).target
    files.decode(coded, tmp_path / "whole.y4m")
    part = files.decode(coded, tmp_path / "part.y4m", start=Fraction(8, 25), duration=Fraction(3, 25))

    assert part.frame_count == 3
    assert luma(part.target) == luma(tmp_path / "whole.y4m")[8:11]
    with pytest.raises(VideoError, match="no frames between"):
        files.decode(coded, tmp_path / "none.y4m", start=99)
    assert not (tmp_path / "none.y4m").exists()


def test_a_decoded_matroska_file_is_lossless_and_has_the_sound(tmp_path: Path, coded: Path) -> None:
    files.decode(coded, tmp_path / "decoded.y4m")
    files.decode(coded, tmp_path / "decoded.mkv")

    assert luma(tmp_path / "decoded.mkv") == luma(tmp_path / "decoded.y4m")
    with av.open(str(tmp_path / "decoded.mkv")) as container:
        assert len(container.streams.audio) == 1


def test_what_a_player_must_know_goes_all_the_way(tmp_path: Path, settings: Settings) -> None:
    """From the source into each container, and from there into the decoded file."""
    source = tmp_path / "source.mp4"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=25, width=64, height=48)
        context = video.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, 1, 9, 1
        context.sample_aspect_ratio = Fraction(4, 3)
        video.set_display_rotation(90)
        container.mux(video.encode(to_frame(a_picture())))
        container.mux(video.encode(None))
    for name in ("coded.mkv", "coded.mp4"):
        coded = files.encode(source, tmp_path / name, settings=settings).target
        files.decode(coded, tmp_path / "decoded.mkv")
        told = files.probe(coded)
        with Source(tmp_path / "decoded.mkv") as decoded:
            next(decoded.pictures())
            shown = decoded.description

        assert (told.rotation, told.pixel_aspect, told.colour.primaries) == (90, Fraction(4, 3), 9)
        assert (shown.rotation, shown.pixel_aspect, shown.colour) == (90, Fraction(4, 3), told.colour)


@given(
    width=st.integers(16, 70), height=st.integers(16, 70), frames=st.integers(1, 4), name=st.sampled_from(CODED_NAMES)
)
@hypothesis.settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_size_and_length_comes_back_alike(
    tmp_path: Path, settings: Settings, width: int, height: int, frames: int, name: str
) -> None:
    source = a_clip(tmp_path / "source.y4m", width=width, height=height, frames=frames)
    coded = files.encode(source, tmp_path / name, crf=10, settings=settings)
    decoded = files.decode(coded.target, tmp_path / "decoded.y4m")

    assert (decoded.width, decoded.height, decoded.frame_count) == (width, height, frames)
    with Source(source) as before, Source(decoded.target) as after:
        for one, other in zip(before.pictures(), after.pictures(), strict=True):
            assert one.time == other.time
            assert np.abs(one.picture.luma.astype(int) - other.picture.luma).mean() < 20


@pytest.mark.parametrize("name", ["coded.mkv", "coded.mp4"])
def test_a_lost_packet_is_concealed_and_the_next_key_frame_is_clean(
    tmp_path: Path, settings: Settings, name: str
) -> None:
    source = a_clip(tmp_path / "source.y4m", frames=14)
    coded = files.encode(source, tmp_path / name, keyint=6, low_delay=True, settings=settings).target
    files.decode(coded, tmp_path / "whole.y4m")
    lost = list(CodedFile.open(coded).packets())[3].data
    coded.write_bytes(coded.read_bytes().replace(lost[-12:], bytes(12)))
    with pytest.raises(BitstreamError):
        files.decode(coded, tmp_path / "strict.y4m")

    result = files.decode(coded, tmp_path / "concealed.y4m", conceal=True)

    whole, concealed = luma(tmp_path / "whole.y4m"), luma(result.target)
    assert result.concealed_count == 3
    assert concealed == [*whole[:3], *[whole[2]] * 3, *whole[6:]]
    assert any("repeat the one before" in notice for notice in result.notices)


@pytest.mark.parametrize(("name", "fragmented"), [("coded.mkv", False), ("coded.mp4", False), ("coded.mp4", True)])
def test_a_cut_off_file_decodes_up_to_the_cut_with_a_warning(
    tmp_path: Path, settings: Settings, name: str, fragmented: bool
) -> None:
    source = a_clip(tmp_path / "source.y4m", frames=8)
    coded = files.encode(
        source, tmp_path / name, keyint=4, low_delay=True, fragmented=fragmented, settings=settings
    ).target
    files.decode(coded, tmp_path / "whole.y4m")
    data, packets = coded.read_bytes(), list(CodedFile.open(coded).packets())
    coded.write_bytes(data[: data.index(packets[6].data)])
    with pytest.raises(CutOff, match="conceal"):
        files.decode(coded, tmp_path / "strict.y4m")
    assert not (tmp_path / "strict.y4m").exists()

    result = files.decode(coded, tmp_path / "cut.y4m", conceal=True)

    assert luma(result.target) == luma(tmp_path / "whole.y4m")[:6]
    assert any("cut off" in notice for notice in result.notices)


@pytest.mark.skipif(shutil.which("mkvmerge") is None, reason="mkvmerge is not here: apt install mkvtoolnix")
def test_files_that_mkvmerge_joins_decode_as_one(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m", frames=4)
    for name in ("one.mkv", "two.mkv"):
        files.encode(source, tmp_path / name, settings=settings)
    joined = tmp_path / "joined.mkv"
    parts = [str(tmp_path / "one.mkv"), "+", str(tmp_path / "two.mkv")]
    subprocess.run(["mkvmerge", "-q", "-o", str(joined), *parts], check=True)

    files.decode(joined, tmp_path / "joined.y4m")
    files.decode(tmp_path / "one.mkv", tmp_path / "one.y4m")

    assert luma(tmp_path / "joined.y4m") == 2 * luma(tmp_path / "one.y4m")


@pytest.mark.skipif(shutil.which("mkvmerge") is None, reason="mkvmerge is not here: apt install mkvtoolnix")
def test_a_track_that_mkvmerge_took_out_of_mp4_decodes(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m", frames=4)
    files.encode(source, tmp_path / "coded.mp4", settings=settings)
    merged = tmp_path / "merged.mkv"
    subprocess.run(["mkvmerge", "-q", "-o", str(merged), str(tmp_path / "coded.mp4")], check=True)

    files.decode(tmp_path / "coded.mp4", tmp_path / "before.y4m")
    files.decode(merged, tmp_path / "after.y4m")

    assert luma(tmp_path / "after.y4m") == luma(tmp_path / "before.y4m")
    assert files.probe(merged).frame_count == 4


def test_gaps_are_filled_to_the_right_number_of_frames_where_times_are_uneven(
    tmp_path: Path, settings: Settings
) -> None:
    """Every third frame comes late by most of a frame; no packet is lost, so no frame is added."""
    source = a_clip(tmp_path / "source.y4m", frames=13)
    coded = CodedFile.open(files.encode(source, tmp_path / "coded.mkv", low_delay=True, settings=settings).target)
    uneven = tmp_path / "uneven.mkv"
    target = PacketTarget(
        uneven,
        container=Container.MATROSKA,
        configuration=coded.configuration,
        description=coded.description,
        frame_rate=coded.frame_rate,
        time_base=coded.time_base,
        source=coded.path,
        start=Fraction(0),
    )
    for index, packet in enumerate(coded.packets()):
        time = packet.time + (Fraction(24, 1000) if index % 3 == 1 else 0)
        target.write(packet.data, shown=time, coded=time, is_key=packet.is_key, duration=None)
    target.finish(coded.configuration, has_one_rate=True)

    result = files.decode(uneven, tmp_path / "decoded.y4m", conceal=True)

    assert len(luma(result.target)) == result.frame_count == 13


def test_a_lost_tail_is_noticed_when_decoding(tmp_path: Path, settings: Settings) -> None:
    """Where no checksum of the container says so: the last group of pictures is gone as a whole."""
    source = a_clip(tmp_path / "source.y4m", frames=8)
    coded = files.encode(source, tmp_path / "coded.mkv", keyint=4, low_delay=True, settings=settings).target
    whole = CodedFile.open(coded)
    shorter = PacketTarget(
        tmp_path / "shorter.mkv",
        container=Container.MATROSKA,
        configuration=whole.configuration,
        description=whole.description,
        frame_rate=Fraction(25),
    )
    for packet in list(whole.packets())[:4]:
        shorter.write(packet.data, shown=packet.time, coded=packet.time, is_key=packet.is_key)
    shorter.finish(whole.configuration)
    with pytest.raises(CorruptBitstream, match="4 of 8 frames"):
        files.decode(tmp_path / "shorter.mkv", tmp_path / "shorter.y4m")


def test_fragments_can_be_joined_as_bytes(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m", frames=8)
    coded = files.encode(source, tmp_path / "coded.mp4", keyint=4, fragmented=True, settings=settings).target
    data = coded.read_bytes()
    starts = [i - 4 for i in range(len(data)) if data[i : i + 4] == b"moof"]
    init, parts = data[: starts[0]], [data[a:b] for a, b in pairwise([*starts, len(data)])]

    (tmp_path / "joined.mp4").write_bytes(init + b"".join(parts))

    assert len(parts) == 2
    assert files.decode(tmp_path / "joined.mp4", tmp_path / "joined.y4m").frame_count == 8


@pytest.mark.parametrize(("width", "height"), [(16, 16), (17, 16), (33, 31)])
def test_one_frame_of_any_size_is_a_file(tmp_path: Path, settings: Settings, width: int, height: int) -> None:
    source = a_clip(tmp_path / "source.y4m", width=width, height=height, frames=1)
    for name in ("coded.mkv", "coded.mp4"):
        coded = files.encode(source, tmp_path / name, settings=settings)
        decoded = files.decode(coded.target, tmp_path / "decoded.y4m")
        assert (decoded.width, decoded.height, decoded.frame_count) == (width, height, 1)


def test_a_source_without_frames_is_refused(tmp_path: Path, settings: Settings) -> None:
    empty = tmp_path / "empty.y4m"
    empty.write_bytes(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n")
    with pytest.raises(VideoError):
        files.encode(empty, tmp_path / "coded.mkv", settings=settings)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty.y4m", "license.json"]


def test_what_progress_raises_ends_the_work_and_leaves_no_file(tmp_path: Path, settings: Settings) -> None:
    class Enough(Exception):
        pass

    def progress(done: int, total: int | None, payload: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mp4", settings=settings, on_progress=progress)
    assert not list(tmp_path.glob("*coded*"))


def test_variable_times_survive_encoding_and_decoding(tmp_path: Path, settings: Settings) -> None:
    ticks = [0, 3003, 6006, 20000, 20001, 33333]
    source = tmp_path / "uneven.mp4"
    with av.open(str(source), "w") as container:
        video = container.add_stream("mpeg4", rate=30, width=64, height=48)
        video.codec_context.time_base = Fraction(1, 30_000)
        for i, tick in enumerate(ticks):
            frame = to_frame(a_picture(shift=i))
            frame.pts, frame.time_base = tick, Fraction(1, 30_000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    coded = files.encode(source, tmp_path / "coded.mp4", settings=settings).target

    assert sorted(p.time for p in CodedFile.open(coded).packets()) == [Fraction(tick, 30_000) for tick in ticks]
    assert "not evenly spaced" in files.decode(coded, tmp_path / "decoded.y4m").notices[0]


def test_another_codecs_file_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(NotABitstream, match="no track coded with Narrows"):
        files.decode(a_clip_with_audio(tmp_path / "other.mkv"), tmp_path / "out.y4m")
    with pytest.raises(NotABitstream, match="not a Matroska file"):
        files.decode(a_clip(tmp_path / "other.y4m"), tmp_path / "out.y4m")


def test_decoding_needs_no_license_and_no_state(tmp_path: Path, coded: Path, settings: Settings) -> None:
    settings.license_path.unlink()

    assert files.decode(coded, tmp_path / "decoded.y4m").frame_count == 10


def test_encoding_without_a_license_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LicenseUnreadable, match="narrows license development") as refused:
        files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings_in(tmp_path))

    assert refused.value.reason is Reason.NO_LICENSE
    assert not (tmp_path / "coded.mkv").exists()


def test_a_flipped_byte_in_the_license_is_refused(tmp_path: Path, settings: Settings) -> None:
    text = settings.license_path.read_text()
    middle = text.index("token") + 60
    settings.license_path.write_text(text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :])
    with pytest.raises(LicenseRefused, match=r"license\.json"):
        files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mkv", settings=settings)


def test_a_damaged_ledger_refuses_a_new_encode(tmp_path: Path, settings: Settings) -> None:
    source = a_clip(tmp_path / "source.y4m")
    files.encode(source, tmp_path / "coded.mkv", settings=settings)
    for leftover in settings.state_folder.glob("ledger.sqlite-*"):
        leftover.unlink()
    data = bytearray(settings.ledger_path.read_bytes())
    at = data.rindex(b'"width":64')
    data[at + 8] ^= 1
    settings.ledger_path.write_bytes(data)
    with pytest.raises(LedgerDamaged, match="record 2"):
        files.encode(source, tmp_path / "again.mkv", settings=settings)


def test_an_unreadable_source_and_a_wrong_name_are_explained(tmp_path: Path, settings: Settings) -> None:
    nonsense = tmp_path / "nonsense.mp4"
    nonsense.write_bytes(b"not a video" * 50)
    with pytest.raises(VideoError, match="can't read"):
        files.encode(nonsense, tmp_path / "coded.mkv", settings=settings)
    with pytest.raises(VideoError, match=r"\.mkv or \.mp4"):
        files.encode(a_clip(tmp_path / "source.y4m"), tmp_path / "coded.mov", settings=settings)
    assert not list(tmp_path.glob("*.partial"))
