"""
The bytes of a stream: a header in front of each key frame, and one self-checking packet per frame.

    configuration   header | frame count u32 | crc32 u32                    (once, in the container)
    header   "NRWS" | version u8 | flags u8 | width u16 | height u16 | model id 16 bytes | crc32 u32
    packet   type u8 | quality u8 | [header, if key] | stream count u8 | stream length u32 each | streams | crc32 u32

Integers are big-endian. The CRC of a packet covers everything before it and is seeded with the CRC of the packet that
it predicts from, so that a lost or exchanged packet is noticed as well. Normative text: `docs/reference/bitstream.md`.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

from narrows.codec.model import QUALITY_MAX
from narrows.errors import CorruptBitstream, NotABitstream, UnsupportedBitstream
from narrows.options import SIDE_MAX, SIDE_MIN

MAGIC = b"NRWS"
VERSION = 1
MODEL_ID_BYTES = 16
_HEADER = struct.Struct(f">4sBBHH{MODEL_ID_BYTES}s")
HEADER_BYTES = _HEADER.size + 4
CONFIGURATION_BYTES = HEADER_BYTES + 8
STREAM_COUNT_MAX = 4
PACKET_BYTES_MAX = 1 << 28
_FLAG_DEVELOPMENT = 1


class FrameType(IntEnum):
    """How a frame is coded."""

    INTRA = 0x49
    INTER = 0x50


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHeader:
    """What a decoder must know before the first frame. *model_id* is the start of the SHA-256 of the weights."""

    width: int
    height: int
    model_id: bytes
    is_development: bool

    def to_bytes(self) -> bytes:
        flags = _FLAG_DEVELOPMENT if self.is_development else 0
        body = _HEADER.pack(MAGIC, VERSION, flags, self.width, self.height, self.model_id)
        return body + struct.pack(">I", zlib.crc32(body))

    @classmethod
    def from_bytes(cls, data: bytes, byte_offset: int = 0) -> StreamHeader:
        """Parse and check; sizes are refused here, before anything is allocated for them."""
        if data[:4] != MAGIC:
            raise NotABitstream("this is not a Narrows stream: its header does not begin with 'NRWS'")
        if len(data) < HEADER_BYTES:
            raise CorruptBitstream("the stream header is cut off", byte_offset=byte_offset + len(data))
        body, (crc,) = data[: _HEADER.size], struct.unpack(">I", data[_HEADER.size : HEADER_BYTES])
        _, version, flags, width, height, model_id = _HEADER.unpack(body)
        if version != VERSION:
            raise UnsupportedBitstream(f"the stream has version {version}; this release decodes version {VERSION}")
        if zlib.crc32(body) != crc:
            raise CorruptBitstream("the stream header fails its CRC", byte_offset=byte_offset)
        if not (SIDE_MIN <= width <= SIDE_MAX and SIDE_MIN <= height <= SIDE_MAX):
            raise CorruptBitstream(f"the size {width}×{height} is outside the limits", byte_offset=byte_offset + 6)
        if flags & ~_FLAG_DEVELOPMENT:
            raise UnsupportedBitstream(f"the stream uses unknown flags {flags:#04x}; a newer release may decode it")
        return cls(width=width, height=height, model_id=model_id, is_development=bool(flags & _FLAG_DEVELOPMENT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a container keeps beside the packets: the header, and how many frames there are, so that none is missed."""

    header: StreamHeader
    frame_count: int

    def to_bytes(self) -> bytes:
        body = self.header.to_bytes() + struct.pack(">I", self.frame_count)
        return body + struct.pack(">I", zlib.crc32(body))

    @classmethod
    def from_bytes(cls, data: bytes) -> Configuration:
        header = StreamHeader.from_bytes(data)
        if len(data) != CONFIGURATION_BYTES:
            raise CorruptBitstream("the configuration has the wrong length", byte_offset=len(data))
        frame_count, crc = struct.unpack(">II", data[HEADER_BYTES:])
        if zlib.crc32(data[:-4]) != crc:
            raise CorruptBitstream("the configuration fails its CRC", byte_offset=HEADER_BYTES)
        return cls(header=header, frame_count=frame_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePacket:
    """One coded frame: *header* stands in key frames only; *streams* are entropy-coded independently."""

    type: FrameType
    quality_index: int
    header: StreamHeader | None
    streams: tuple[bytes, ...]

    @property
    def is_key(self) -> bool:
        return self.type is FrameType.INTRA

    def to_bytes(self, previous_crc: int) -> tuple[bytes, int]:
        """Serialise; returns the packet and its CRC. *previous_crc* is that of the reference's packet, 0 for a key."""
        parts = [bytes([self.type, self.quality_index])]
        if self.header is not None:
            parts.append(self.header.to_bytes())
        parts.append(bytes([len(self.streams)]))
        parts += [struct.pack(">I", len(s)) for s in self.streams]
        parts += self.streams
        body = b"".join(parts)
        crc = zlib.crc32(body, previous_crc)
        return body + struct.pack(">I", crc), crc

    @classmethod
    def from_bytes(cls, data: bytes, previous_crc: int) -> tuple[FramePacket, int]:
        """Parse and check one packet; returns it with its CRC."""
        if len(data) > PACKET_BYTES_MAX:
            raise CorruptBitstream(f"a packet of {len(data)} bytes is above the limit", byte_offset=0)
        if len(data) < 7:
            raise CorruptBitstream("the packet is cut off", byte_offset=len(data))
        if data[0] not in (FrameType.INTRA, FrameType.INTER):
            raise NotABitstream(f"this is not a Narrows packet: unknown frame type {data[0]:#04x}")
        frame_type, quality_index, position = FrameType(data[0]), data[1], 2
        header = None
        if frame_type is FrameType.INTRA:
            header = StreamHeader.from_bytes(data[position:], byte_offset=position)
            position += HEADER_BYTES
            previous_crc = 0
        (crc,) = struct.unpack(">I", data[-4:])
        if zlib.crc32(data[:-4], previous_crc) != crc:
            raise CorruptBitstream(
                "the packet fails its CRC: it is damaged, or the packet before it is missing", byte_offset=0
            )
        if quality_index > QUALITY_MAX:
            raise CorruptBitstream(f"the quality index {quality_index} is above {QUALITY_MAX}", byte_offset=1)
        if position >= len(data) - 4:
            raise CorruptBitstream("the packet is cut off", byte_offset=len(data))
        count = data[position]
        position += 1
        end = position + 4 * count
        if not 1 <= count <= STREAM_COUNT_MAX or end > len(data) - 4:
            raise CorruptBitstream(f"a packet can't hold {count} streams here", byte_offset=position - 1)
        lengths = struct.unpack(f">{count}I", data[position:end])
        if end + sum(lengths) + 4 != len(data):
            raise CorruptBitstream("the stream lengths do not add up to the packet", byte_offset=position)
        streams = []
        for length in lengths:
            streams.append(data[end : end + length])
            end += length
        return cls(type=frame_type, quality_index=quality_index, header=header, streams=tuple(streams)), crc
