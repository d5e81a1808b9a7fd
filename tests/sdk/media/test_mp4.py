"""The private sample entry and the check boxes of MP4."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import pytest
from narrows.codec.bitstream import Configuration
from narrows.errors import CorruptBitstream, CutOff, NotABitstream
from narrows.media import mp4
from narrows.media.boxes import boxes
from narrows.media.coded_file import CodedFile
from narrows.media.packets import Container

from .streams import HEADER, a_coded_file


def top_level(path: Path) -> list[tuple[bytes, bytes]]:
    data = path.read_bytes()
    return [(box.type, data[box.start : box.end]) for box in boxes(data)]


def test_the_index_comes_first_and_names_our_codec(tmp_path: Path) -> None:
    path = a_coded_file(tmp_path, Container.MP4)
    kinds = [kind for kind, _ in top_level(path)]
    private, _ = mp4.read_track(path)

    assert kinds.index(b"moov") < kinds.index(b"mdat")
    assert kinds[-1] == mp4.CHECK_BOX
    assert Configuration.from_bytes(private) == Configuration(header=HEADER, frame_count=8)
    assert b"FFV1" not in path.read_bytes()
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context is None  # Nobody takes it for another codec.


def test_a_fragment_begins_at_each_key_frame_and_is_checked(tmp_path: Path) -> None:
    kinds = [kind for kind, _ in top_level(a_coded_file(tmp_path, Container.FRAGMENTED_MP4))]

    assert kinds == [b"ftyp", b"moov", b"nrck", b"moof", b"mdat", b"nrck", b"moof", b"mdat", b"nrck"]


def test_a_fragmented_file_states_no_number_of_frames(tmp_path: Path) -> None:
    coded = CodedFile.open(a_coded_file(tmp_path, Container.FRAGMENTED_MP4))

    assert coded.configuration.frame_count == 0
    assert coded.frame_count == 8


def test_a_missing_fragment_is_noticed(tmp_path: Path) -> None:
    path = a_coded_file(tmp_path, Container.FRAGMENTED_MP4, keys=(0, 3, 6))
    parts = [data for _, data in top_level(path)]
    path.write_bytes(b"".join(parts[:6] + parts[9:]))
    with pytest.raises(CorruptBitstream, match="fragment 2 is missing"):
        mp4.check_file(path)


def test_a_missing_last_fragment_is_noticed(tmp_path: Path) -> None:
    path = a_coded_file(tmp_path, Container.FRAGMENTED_MP4)
    path.write_bytes(b"".join(data for _, data in top_level(path)[:6]))
    with pytest.raises(CutOff):
        mp4.check_file(path)


def test_a_file_that_another_tool_wrote_anew_is_read_without_check_boxes(tmp_path: Path) -> None:
    path = a_coded_file(tmp_path, Container.MP4)
    parts = [data for kind, data in top_level(path) if kind != mp4.CHECK_BOX]
    path.write_bytes(b"".join(parts).replace(b"nrws", b"iso6", 1))

    assert len(list(CodedFile.open(path).packets())) == 8


def test_a_segment_without_its_init_segment_says_so(tmp_path: Path) -> None:
    path = a_coded_file(tmp_path, Container.FRAGMENTED_MP4)
    path.write_bytes(b"".join(data for _, data in top_level(path)[3:]))
    with pytest.raises(NotABitstream, match="init segment"):
        CodedFile.open(path)


def test_a_box_larger_than_the_file_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.mp4"
    path.write_bytes(struct.pack(">I4sI", 12, b"ftyp", 0) + struct.pack(">I4sQ", 1, b"moov", 1 << 60))
    with pytest.raises(CorruptBitstream):
        CodedFile.open(path)
    with pytest.raises(CorruptBitstream, match="longer than"):
        CodedFile.open(path, tolerates_damage=True)
