"""Packets say what they are and refuse to be something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows.codec.bitstream import Configuration, FramePacket, FrameType, StreamHeader, crc_seed
from narrows.errors import BitstreamError, CorruptBitstream, NotABitstream, UnsupportedBitstream

HEADER = StreamHeader(width=176, height=144, model_id=bytes(range(16)), is_development=True)


def a_key_packet(streams: tuple[bytes, ...] = (b"symbols",)) -> FramePacket:
    return FramePacket(
        type=FrameType.INTRA, is_visual=True, quality_index=70, position=0, header=HEADER, streams=streams
    )


def an_inter_packet(
    position: int = 12, references: tuple[int, int] = (8, 16), streams: tuple[bytes, ...] = (b"motion", b"rest")
) -> FramePacket:
    return FramePacket(
        type=FrameType.INTER,
        is_visual=False,
        quality_index=58,
        position=position,
        references=references,
        streams=streams,
    )


CRCS = {8: 1234, 16: 5678}
SEED = crc_seed(1234, 5678)


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
    anchor=st.integers(0, 65_000),
    span=st.integers(1, 16),
    streams=st.tuples(st.binary(max_size=300), st.binary(max_size=40)),
    crc=st.integers(0, 2**32 - 1),
)
def test_an_inter_packet_survives(anchor: int, span: int, streams: tuple[bytes, bytes], crc: int) -> None:
    packet = an_inter_packet(anchor + span, (anchor, anchor), streams)

    assert FramePacket.from_bytes(packet.to_bytes(crc_seed(crc, crc))[0], {anchor: crc})[0] == packet


@pytest.mark.parametrize(
    ("position", "references"),
    [(8, (8, 16)), (8, (8, 8)), (25, (8, 8)), (25, (8, 26)), (12, (8, 30))],
)
def test_a_frame_that_can_not_stand_where_it_says_is_refused(position: int, references: tuple[int, int]) -> None:
    crcs = {8: 1234, 16: 5678, 26: 7, 30: 9}
    seed = crc_seed(crcs[references[0]], crcs[references[1]])
    with pytest.raises(CorruptBitstream, match="can't stand"):
        FramePacket.from_bytes(an_inter_packet(position, references).to_bytes(seed)[0], crcs)


def test_a_frame_whose_references_are_not_there_is_refused() -> None:
    with pytest.raises(CorruptBitstream, match="predicts from"):
        FramePacket.from_bytes(an_inter_packet().to_bytes(SEED)[0], {8: 1234})


def test_a_configuration_survives() -> None:
    configuration = Configuration(header=HEADER, frame_count=132)

    assert Configuration.from_bytes(configuration.to_bytes()) == configuration


@pytest.mark.parametrize("packet", [a_key_packet(), an_inter_packet()])
def test_every_changed_bit_of_a_packet_is_noticed(packet: FramePacket) -> None:
    data = packet.to_bytes(0 if packet.is_key else SEED)[0]
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with pytest.raises(BitstreamError):
                FramePacket.from_bytes(bytes(changed), CRCS)


@pytest.mark.parametrize("packet", [a_key_packet(), an_inter_packet()])
def test_every_truncation_of_a_packet_is_noticed(packet: FramePacket) -> None:
    data = packet.to_bytes(0 if packet.is_key else SEED)[0]
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            FramePacket.from_bytes(data[:length], CRCS)


@pytest.mark.parametrize("other", [{8: 1234, 16: 1234}, {8: 5678, 16: 5678}, {8: 5678, 16: 1234}])
def test_a_packet_with_other_references_than_it_was_made_with_is_refused(other: dict[int, int]) -> None:
    data, _ = an_inter_packet().to_bytes(SEED)

    with pytest.raises(CorruptBitstream, match="predicts from is missing"):
        FramePacket.from_bytes(data, other)


def test_a_newer_version_says_so() -> None:
    data = bytearray(HEADER.to_bytes())
    data[4] = 2
    with pytest.raises(UnsupportedBitstream, match="version 2"):
        StreamHeader.from_bytes(bytes(data))


def test_something_else_is_not_a_bitstream() -> None:
    with pytest.raises(NotABitstream):
        StreamHeader.from_bytes(b"RIFF" + bytes(60))
    with pytest.raises(NotABitstream):
        FramePacket.from_bytes(b"\x00\x00\x00\x01" + bytes(60), {})
