"""The private codec id and the CRCs of the container."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from narrows.codec.bitstream import Configuration, StreamHeader
from narrows.errors import CorruptBitstream
from narrows.media import matroska
from narrows.media.video import CodedFile, PacketTarget

HEADER = StreamHeader(width=64, height=48, model_id=bytes(16), is_development=True)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "coded.mkv"
    target = PacketTarget(path, source=None, frame_rate=Fraction(25), width=64, height=48)
    for i in range(3):
        target.write(bytes([i] * 50), shown=Fraction(i, 25), coded=Fraction(i, 25), is_key=i == 0)
    target.finish(Configuration(header=HEADER, frame_count=3))
    return path


def test_packets_come_back_with_their_times(written: Path) -> None:
    packets = list(CodedFile.open(written).packets())

    assert [p.data for p in packets] == [bytes([i] * 50) for i in range(3)]
    assert [p.time for p in packets] == [Fraction(i * 40, 1000) for i in range(3)]


def test_the_codec_id_and_the_configuration_are_in_the_track(written: Path) -> None:
    assert matroska.CODEC_ID in written.read_bytes()
    assert Configuration.from_bytes(matroska.read_codec_private(written)).frame_count == 3


def test_nothing_appears_under_the_name_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "coded.mkv"
    target = PacketTarget(path, source=None, frame_rate=Fraction(25), width=64, height=48)
    target.write(b"x", shown=Fraction(0), coded=Fraction(0), is_key=True)

    assert not path.exists()
    target.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_frame_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "coded.mkv"
    target = PacketTarget(path, source=None, frame_rate=Fraction(25), width=64, height=48)
    target.write(b"x", shown=Fraction(0), coded=Fraction(0), is_key=True)
    target.finish(Configuration(header=HEADER, frame_count=2))
    with pytest.raises(CorruptBitstream, match="1 of 2 frames"):
        list(CodedFile.open(path).packets())


def test_a_flipped_timestamp_is_noticed(written: Path) -> None:
    data = bytearray(written.read_bytes())
    cluster = data.index(bytes.fromhex("1f43b675"))
    data[cluster + 24] ^= 1
    written.write_bytes(data)
    with pytest.raises(CorruptBitstream, match="0x1f43b675 fails its CRC"):
        matroska.check_file(written)
