"""What all containers promise: times, description and company come back, any time can be reached, damage is named."""

from __future__ import annotations

import random
from contextlib import suppress
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from narrows.errors import BitstreamError, CutOff, NarrowsError
from narrows.media.coded_file import CodedFile
from narrows.media.description import Colour, Description, matrix_of_rotation
from narrows.media.packets import Container

from .streams import a_coded_file, a_packet, a_source_with_everything

EVERY_CONTAINER = pytest.mark.parametrize("container", list(Container))
REORDERED = [0, 2, 1, 3, 4, 7, 5, 6]
UNEVEN = [Fraction(x, 1000) for x in (0, 33, 66, 111, 247, 370, 493, 617)]


@EVERY_CONTAINER
def test_packets_come_back_in_coding_order_with_their_times(tmp_path: Path, container: Container) -> None:
    path = a_coded_file(tmp_path, container, times=UNEVEN, order=REORDERED, keys=(0, 4), time_base=Fraction(1, 1000))

    packets = list(CodedFile.open(path).packets())

    assert [p.data for p in packets] == [a_packet(i, is_key=i in (0, 4)) for i in REORDERED]
    assert [p.time for p in packets] == [UNEVEN[i] for i in REORDERED]


@given(
    clock=st.sampled_from([600, 1000, 12_800, 30_000, 90_000]),
    steps=st.lists(st.integers(1, 5000), min_size=1, max_size=12),
    container=st.sampled_from([Container.MP4, Container.FRAGMENTED_MP4]),
)
@settings(max_examples=40)
def test_variable_times_on_any_clock_are_exact_in_mp4(clock: int, steps: list[int], container: Container) -> None:
    times = [Fraction(tick, clock) for tick in accumulate([0, *steps])]
    with TemporaryDirectory() as folder:
        path = a_coded_file(Path(folder), container, times=times, keys=(0,), time_base=Fraction(1, clock))

        assert [p.time for p in CodedFile.open(path).packets()] == times


@given(ticks=st.lists(st.integers(1, 9000), min_size=1, max_size=12))
@settings(max_examples=20)
def test_matroska_keeps_times_to_the_millisecond(ticks: list[int]) -> None:
    times = [Fraction(tick, 1000) for tick in accumulate([0, *ticks])]
    with TemporaryDirectory() as folder:
        path = a_coded_file(Path(folder), Container.MATROSKA, times=times, keys=(0,))

        assert [p.time for p in CodedFile.open(path).packets()] == times


@EVERY_CONTAINER
@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_colours_pixel_shape_and_rotation_come_back(tmp_path: Path, container: Container, rotation: int) -> None:
    description = Description(
        width=64,
        height=48,
        colour=Colour(primaries=9, transfer=1, matrix=9, range=2),
        pixel_aspect=Fraction(16, 11),
        display_matrix=matrix_of_rotation(rotation),
    )
    read = CodedFile.open(a_coded_file(tmp_path, container, description=description)).description

    assert read == description
    assert read.rotation == rotation or {read.rotation, rotation} == {-180, 180}


@EVERY_CONTAINER
def test_colours_that_are_known_in_part_come_back(tmp_path: Path, container: Container) -> None:
    description = Description(width=64, height=48, colour=Colour(matrix=1, range=1))

    assert CodedFile.open(a_coded_file(tmp_path, container, description=description)).description == description


@EVERY_CONTAINER
def test_sound_from_a_transport_stream_travels_along(tmp_path: Path, container: Container) -> None:
    with av.open(str(tmp_path / "source.ts"), "w") as stream:
        video = stream.add_stream("mpeg2video", rate=25, width=64, height=48)
        sound = stream.add_stream("aac", rate=48000, layout="stereo")
        for i in range(10):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = i
            stream.mux(video.encode(frame))
            samples = av.AudioFrame(format="fltp", layout="stereo", samples=1024)
            for plane in samples.planes:
                plane.update(bytes(plane.buffer_size))
            samples.sample_rate, samples.pts = 48000, 1024 * i
            stream.mux(sound.encode(samples))
        stream.mux(video.encode(None))
        stream.mux(sound.encode(None))
    path = a_coded_file(tmp_path, container, source=tmp_path / "source.ts")

    with av.open(str(path)) as coded:
        assert sum(1 for _ in coded.decode(audio=0)) >= 10


@EVERY_CONTAINER
def test_sound_chapters_and_tags_travel_along_untouched(tmp_path: Path, container: Container) -> None:
    source = a_source_with_everything(tmp_path / "source.mkv")
    path = a_coded_file(tmp_path, container, source=source)

    with av.open(str(source)) as before, av.open(str(path)) as after:
        assert after.metadata["title"] == "A talk"
        assert [(c["start"] * (c["time_base"] or 0), c["metadata"]["title"]) for c in after.chapters()] == [
            (0, "Question"),
            (1, "Answer"),
        ]
        assert after.streams.audio[0].metadata["language"] == "eng"
        sounds = [[bytes(p) for p in c.demux(c.streams.audio[0]) if p.size] for c in (before, after)]
    assert sounds[0] == sounds[1] != []


def test_matroska_carries_subtitles(tmp_path: Path) -> None:
    source = a_source_with_everything(tmp_path / "source.mkv")
    with av.open(str(a_coded_file(tmp_path, Container.MATROSKA, source=source))) as container:
        (subtitles,) = container.streams.subtitles
        assert subtitles.metadata["language"] == "fra"
        assert [(bytes(p), p.pts) for p in container.demux(subtitles) if p.size] == [(b"Hello", 500)]


@EVERY_CONTAINER
@pytest.mark.parametrize("start", [Fraction(0), Fraction(3, 25), Fraction(4, 25), Fraction(7, 25), Fraction(99)])
def test_any_time_is_reached_from_the_key_frame_before(tmp_path: Path, container: Container, start: Fraction) -> None:
    path = a_coded_file(tmp_path, container, keys=(0, 4))
    first = next(CodedFile.open(path).packets(start=start))

    assert first.time == (Fraction(4, 25) if start >= Fraction(4, 25) else 0)
    assert first.is_key


@EVERY_CONTAINER
def test_every_truncation_is_refused(tmp_path: Path, container: Container) -> None:
    data = a_coded_file(tmp_path, container).read_bytes()
    cut = tmp_path / "cut"
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        with pytest.raises(BitstreamError):
            list(CodedFile.open(cut).packets())


@EVERY_CONTAINER
def test_every_flipped_byte_is_refused(tmp_path: Path, container: Container) -> None:
    data = a_coded_file(tmp_path, container).read_bytes()
    dice, flipped = random.Random(container.value), tmp_path / "flipped"
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << dice.randrange(8)
        flipped.write_bytes(changed)
        with pytest.raises(BitstreamError):
            list(CodedFile.open(flipped).packets())


@EVERY_CONTAINER
def test_a_cut_off_file_is_read_up_to_the_cut_by_those_who_ask(tmp_path: Path, container: Container) -> None:
    whole = a_coded_file(tmp_path, container)
    packets = list(CodedFile.open(whole).packets())
    data = whole.read_bytes()
    whole.write_bytes(data[: data.index(packets[5].data)])
    with pytest.raises(CutOff):
        CodedFile.open(whole)

    coded = CodedFile.open(whole, tolerates_damage=True)

    assert "cut off" in coded.damage[0]
    assert list(coded.packets()) == packets[:5]


@EVERY_CONTAINER
def test_damage_never_escapes_as_anything_but_our_errors(tmp_path: Path, container: Container) -> None:
    data = a_coded_file(tmp_path, container).read_bytes()
    dice, damaged = random.Random(7), tmp_path / "damaged"
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(dice.randrange(1, 6)):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        damaged.write_bytes(changed[: dice.randrange(len(changed))] if dice.random() < 0.3 else changed)
        with suppress(NarrowsError):
            assert len(list(CodedFile.open(damaged, tolerates_damage=True).packets())) < 1000
