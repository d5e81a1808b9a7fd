"""Packets say what they are and refuse to be something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows.codec.bitstream import Configuration, FramePacket, FrameType, StreamHeader
from narrows.errors import BitstreamError, CorruptBitstream, NotABitstream, UnsupportedBitstream

HEADER = StreamHeader(width=176, height=144, model_id=bytes(range(16)), is_development=True)


def a_key_packet(streams: tuple[bytes, ...] = (b"symbols",)) -> FramePacket:
    return FramePacket(type=FrameType.INTRA, quality_index=70, header=HEADER, streams=streams)


def an_inter_packet() -> FramePacket:
    return FramePacket(type=FrameType.INTER, quality_index=58, header=None, streams=(b"motion", b"rest"))


@given(
    width=st.integers(16, 8192),
    height=st.integers(16, 8192),
    is_development=st.booleans(),
    model_id=st.binary(min_size=16, max_size=16),
)
def test_a_header_survives(width: int, height: int, is_development: bool, model_id: bytes) -> None:
    header = StreamHeader(width=width, height=height, model_id=model_id, is_development=is_development)

    assert StreamHeader.from_bytes(header.to_bytes()) == header


@given(
    quality=st.integers(0, 126),
    streams=st.lists(st.binary(max_size=40), min_size=1, max_size=4),
    crc=st.integers(0, 2**32 - 1),
)
def test_an_inter_packet_survives(quality: int, streams: list[bytes], crc: int) -> None:
    packet = FramePacket(type=FrameType.INTER, quality_index=quality, header=None, streams=tuple(streams))

    assert FramePacket.from_bytes(packet.to_bytes(crc)[0], crc)[0] == packet


def test_a_configuration_survives() -> None:
    configuration = Configuration(header=HEADER, frame_count=132)

    assert Configuration.from_bytes(configuration.to_bytes()) == configuration


@pytest.mark.parametrize("packet", [a_key_packet(), an_inter_packet()])
def test_every_changed_bit_of_a_packet_is_noticed(packet: FramePacket) -> None:
    data = packet.to_bytes(0)[0]
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with pytest.raises(BitstreamError):
                FramePacket.from_bytes(bytes(changed), 0)


@pytest.mark.parametrize("packet", [a_key_packet(), an_inter_packet()])
def test_every_truncation_of_a_packet_is_noticed(packet: FramePacket) -> None:
    data = packet.to_bytes(0)[0]
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            FramePacket.from_bytes(data[:length], 0)


def test_a_packet_after_a_missing_one_is_refused() -> None:
    data, crc = an_inter_packet().to_bytes(1234)

    with pytest.raises(CorruptBitstream, match="before it is missing"):
        FramePacket.from_bytes(data, crc)


def test_a_newer_version_says_so() -> None:
    data = bytearray(HEADER.to_bytes())
    data[4] = 2
    with pytest.raises(UnsupportedBitstream, match="version 2"):
        StreamHeader.from_bytes(bytes(data))


def test_something_else_is_not_a_bitstream() -> None:
    with pytest.raises(NotABitstream):
        StreamHeader.from_bytes(b"RIFF" + bytes(60))
    with pytest.raises(NotABitstream):
        FramePacket.from_bytes(b"\x00\x00\x00\x01" + bytes(60), 0)
