"""The private codec id, the CRCs, and what Debian's mkvtoolnix makes of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from narrows.codec.bitstream import Configuration
from narrows.errors import CorruptBitstream
from narrows.media import matroska
from narrows.media.coded_file import CodedFile
from narrows.media.packets import Container

from .streams import a_coded_file, a_packet, a_source_with_everything

MKVMERGE = shutil.which("mkvmerge")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return a_coded_file(tmp_path, Container.MATROSKA)


def test_the_codec_id_and_the_configuration_are_in_the_track(written: Path) -> None:
    private, _ = matroska.read_track(written)

    assert matroska.CODEC_ID in written.read_bytes()
    assert Configuration.from_bytes(private).frame_count == 8


def test_nothing_of_the_placeholder_remains(written: Path) -> None:
    assert b"FFV1" not in written.read_bytes()
    assert b"nnnn" not in written.read_bytes()


def test_a_flipped_timestamp_is_noticed(written: Path) -> None:
    data = bytearray(written.read_bytes())
    cluster = data.index(bytes.fromhex("1f43b675"))
    data[cluster + 24] ^= 1
    written.write_bytes(data)
    with pytest.raises(CorruptBitstream, match="0x1f43b675 fails its CRC"):
        matroska.check_file(written)


def test_a_missing_frame_is_noticed(tmp_path: Path) -> None:
    path = a_coded_file(tmp_path, Container.MATROSKA, frame_count=9)
    with pytest.raises(CorruptBitstream, match="8 of 9 frames"):
        list(CodedFile.open(path).packets())


@pytest.mark.skipif(MKVMERGE is None, reason="mkvmerge is not here: apt install mkvtoolnix")
def test_mkvmerge_keeps_our_track_as_it_is(tmp_path: Path) -> None:
    assert MKVMERGE is not None
    source = a_source_with_everything(tmp_path / "source.mkv")
    ours = a_coded_file(tmp_path, Container.MATROSKA, order=[0, 2, 1, 3, 4, 7, 5, 6], source=source)
    merged = tmp_path / "merged.mkv"

    said = subprocess.run([MKVMERGE, "-o", str(merged), str(ours)], capture_output=True, text=True, check=True).stdout
    before, after = CodedFile.open(ours), CodedFile.open(merged)

    assert "Warning" not in said
    assert after.configuration == before.configuration
    assert after.description == before.description
    assert list(after.packets()) == list(before.packets())
    assert next(after.packets()).data == a_packet(0, is_key=True)
